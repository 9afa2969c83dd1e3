//! `ingot watch`: a live view of the appliance on a terminal.
//!
//! One thread looks, another draws: a house keeper that does not answer never keeps a key from being seen. What is drawn is a
//! pure function of what was seen ([`model`]), and so is what a key does ([`app`]).

mod app;
mod draw;
mod look;
mod model;
mod terminal;

use std::{
    io::{self, IsTerminal as _},
    sync::Arc,
    time::Duration,
};

use anyhow::{bail, Context as _};
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use self::{
    app::{Action, App},
    look::Looker,
    model::Lanes,
    terminal::Screen,
};
use super::{args::WatchArgs, desk::Desk};
use crate::{edition::Chosen, exit::Outcome, interrupt, ui::Ui};

/// How long to wait for a key before looking whether something else has happened.
const TICK: Duration = Duration::from_millis(50);

/// Draws until `q` is pressed, or the process is asked to stop.
pub(crate) fn watch(ui: &Arc<Ui>, chosen: &Chosen, args: &WatchArgs) -> anyhow::Result<Outcome> {
    if ui.is_json() || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        bail!("`watch` draws on a terminal, and this is none: `status` and `workers` print the same, also with --json");
    }
    let set = chosen.circuit_set()?;
    let lanes = Lanes::of(&*set);
    let config = crate::appliance::load(&args.service)?;
    let desk = Desk::open(&args.service, Some(&args.chain))?;
    let mut looker = Looker::start(desk, config.host.state_dir.clone())?;
    let mut app = App::new(config.host.house_keeper, lanes);
    let mut screen = Screen::open().context("cannot draw on this terminal")?;
    let result = run(&mut app, &mut looker, &mut screen);
    // The terminal is as it was before anything is said.
    drop(screen);
    looker.stop();
    result.map(|()| Outcome::Done)
}

fn run(app: &mut App, looker: &mut Looker, screen: &mut Screen) -> anyhow::Result<()> {
    let mut changed = true;
    loop {
        if interrupt::requested() {
            return Ok(());
        }
        while let Some(news) = looker.news() {
            if let Action::Tell(order) = app.hear(news) {
                looker.tell(order);
            }
            changed = true;
        }
        if changed {
            screen.draw(|frame| draw::draw(frame, &app.view())).context("cannot draw")?;
            changed = false;
        }
        if !event::poll(TICK).context("cannot read the terminal")? {
            continue;
        }
        match event::read().context("cannot read the terminal")? {
            Event::Key(key) if key.kind != KeyEventKind::Release => match app.press(key) {
                Action::Quit => return Ok(()),
                Action::Tell(order) => looker.tell(order),
                Action::None => {}
            },
            _ => {}
        }
        // Of any event: also of a new size.
        changed = true;
    }
}
