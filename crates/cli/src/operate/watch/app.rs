//! What keys and news do: a state machine without a terminal.

use ingot_types::BatchId;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    super::desk::batch_name,
    look::{News, Order},
    model::{first_choice, view, Lanes, Pace, Seen, View},
};

const KEYS: &str = "q quit   up/down choose a batch   r requeue what is stuck";

/// What follows from a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    None,
    Quit,
    /// The looking thread is to do this.
    Tell(Order),
}

/// The view's state.
pub(super) struct App {
    address: String,
    lanes: Lanes,
    seen: Option<Seen>,
    /// Why the house keeper does not answer.
    away: Option<String>,
    chosen: Option<BatchId>,
    pace: Pace,
    /// A question that waits for `y`: the batch, and what would be done.
    asks: Option<(BatchId, String)>,
    said: Option<String>,
}

impl App {
    pub fn new(address: String, lanes: Lanes) -> Self {
        Self {
            address,
            lanes,
            seen: None,
            away: None,
            chosen: None,
            pace: Pace::default(),
            asks: None,
            said: None,
        }
    }

    /// Takes news in.
    pub fn hear(&mut self, news: News) -> Action {
        match news {
            News::Seen(seen) => {
                self.away = None;
                return self.look(*seen);
            }
            News::Away(why) => self.away = Some(why),
            News::Planned(batch, plan) => self.asks = Some((batch, plan)),
            News::Said(text) => self.said = Some(text),
        }
        Action::None
    }

    fn look(&mut self, seen: Seen) -> Action {
        let there = |batch: &BatchId| seen.batches.iter().any(|summary| summary.batch == *batch);
        let before = self.chosen;
        self.chosen = self.chosen.filter(there).or_else(|| first_choice(&seen.batches));
        let summary = seen.batches.iter().find(|summary| Some(summary.batch) == self.chosen);
        if let Some(summary) = summary {
            self.pace.note(summary.batch, seen.at_ms, summary.progress.done);
        }
        self.seen = Some(seen);
        match self.chosen {
            Some(batch) if self.chosen != before => Action::Tell(Order::Choose(batch)),
            _ => Action::None,
        }
    }

    /// What a key does.
    pub fn press(&mut self, key: KeyEvent) -> Action {
        if let Some((batch, _)) = self.asks.take() {
            return match key.code {
                KeyCode::Char('y') => Action::Tell(Order::Requeue(batch)),
                KeyCode::Char('q') => Action::Quit,
                _ => {
                    self.said = Some("nothing was done".into());
                    Action::None
                }
            };
        }
        self.said = None;
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => Action::Quit,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Action::Quit,
            KeyCode::Up => self.step(-1),
            KeyCode::Down => self.step(1),
            KeyCode::Char('r') => match self.chosen {
                Some(batch) => Action::Tell(Order::Plan(batch)),
                None => Action::None,
            },
            _ => Action::None,
        }
    }

    /// Chooses the batch so many lines further down.
    fn step(&mut self, by: isize) -> Action {
        let batches = self.seen.iter().flat_map(|seen| &seen.batches).map(|summary| summary.batch);
        let batches: Vec<BatchId> = batches.collect();
        let at = batches.iter().position(|batch| Some(*batch) == self.chosen);
        let next = at.and_then(|at| at.checked_add_signed(by)).and_then(|at| batches.get(at));
        match next {
            Some(batch) => {
                self.chosen = Some(*batch);
                Action::Tell(Order::Choose(*batch))
            }
            None => Action::None,
        }
    }

    /// What is drawn now.
    pub fn view(&self) -> View {
        let mut view = match &self.seen {
            Some(seen) => view(seen, self.chosen, &self.pace, &self.lanes),
            None => View::default(),
        };
        view.title = match &self.away {
            None => format!("house keeper {}", self.address),
            Some(why) => format!("house keeper {} DOES NOT ANSWER: {why}; what follows is old", self.address),
        };
        view.away = self.away.is_some();
        view.asks = self.asks.is_some();
        view.footer = match (&self.asks, &self.said) {
            (Some((batch, plan)), _) => {
                format!(
                    "requeue batch {}: {plan}. Press y to do it, any other key not to",
                    batch_name(*batch)
                )
            }
            (None, Some(said)) => said.clone(),
            (None, None) => KEYS.into(),
        };
        view
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::model::tests::{batch, seen},
        *,
    };

    fn key(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    fn app() -> App {
        let mut app = App::new("unix:x".into(), Lanes::default());
        // The one that is stuck is shown first.
        assert_eq!(app.hear(News::Seen(Box::new(seen()))), Action::Tell(Order::Choose(batch(2))));
        assert_eq!(app.hear(News::Seen(Box::new(seen()))), Action::None);
        app
    }

    #[test]
    fn arrows_choose_and_stop_at_the_ends() {
        let mut app = app();
        assert_eq!(app.press(key(KeyCode::Down)), Action::Tell(Order::Choose(batch(3))));
        assert_eq!(app.press(key(KeyCode::Down)), Action::None);
        assert_eq!(app.press(key(KeyCode::Up)), Action::Tell(Order::Choose(batch(2))));
        assert_eq!(app.press(key(KeyCode::Up)), Action::Tell(Order::Choose(batch(1))));
        assert_eq!(app.press(key(KeyCode::Up)), Action::None);
        // A batch that goes away takes the choice with it.
        let mut left = seen();
        left.batches.remove(0);
        assert_eq!(app.hear(News::Seen(Box::new(left))), Action::Tell(Order::Choose(batch(2))));
    }

    #[test]
    fn requeueing_asks_first() {
        let mut app = app();
        assert_eq!(app.press(key(KeyCode::Char('y'))), Action::None, "nothing was asked");
        assert_eq!(app.press(key(KeyCode::Char('r'))), Action::Tell(Order::Plan(batch(2))));
        app.hear(News::Planned(batch(2), "1 job has all its attempts again".into()));
        let view = app.view();
        assert!(view.asks && view.footer.starts_with("requeue batch 1/2: 1 job"), "{}", view.footer);
        assert_eq!(app.press(key(KeyCode::Char('n'))), Action::None);
        assert_eq!(app.view().footer, "nothing was done");
        app.hear(News::Planned(batch(2), "1 job has all its attempts again".into()));
        assert_eq!(app.press(key(KeyCode::Char('y'))), Action::Tell(Order::Requeue(batch(2))));
        app.hear(News::Said("batch 1/2: done".into()));
        assert_eq!(app.view().footer, "batch 1/2: done");
        assert_eq!(app.press(key(KeyCode::Left)), Action::None);
        assert_eq!(app.view().footer, KEYS);
    }

    #[test]
    fn q_escape_and_control_c_end_it() {
        for event in [
            key(KeyCode::Char('q')),
            key(KeyCode::Esc),
            KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL),
        ] {
            assert_eq!(app().press(event), Action::Quit);
        }
        assert_eq!(app().press(key(KeyCode::Char('c'))), Action::None);
        let mut asking = app();
        asking.hear(News::Planned(batch(2), String::new()));
        assert_eq!(asking.press(key(KeyCode::Char('q'))), Action::Quit);
    }

    #[test]
    fn a_house_keeper_that_is_away_is_said_so_and_what_was_seen_stays() {
        let mut app = app();
        app.hear(News::Away("no answer".into()));
        let view = app.view();
        assert!(view.away && view.title.contains("DOES NOT ANSWER: no answer"), "{}", view.title);
        assert_eq!(view.batches.len(), 3);
        app.hear(News::Seen(Box::new(seen())));
        assert!(!app.view().away);
        assert_eq!(App::new("x".into(), Lanes::default()).view().batches, []);
    }
}
