//! The view on a screen of any size.

use ingot_types::AggregationRound;
use ratatui::{
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Gauge as Bar, Paragraph},
    Frame,
};

use super::{
    super::rounds::Tally,
    model::{BatchView, Gauge, View},
};

const BAD: Style = Style::new().fg(Color::Red);
const GOOD: Style = Style::new().fg(Color::Green);
const BUSY: Style = Style::new().fg(Color::Yellow);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let lanes = view.batch.as_ref().map_or(0, |batch| batch.lanes.len());
    let graph = u16::try_from(lanes).unwrap_or(u16::MAX).saturating_add(10);
    let workers = u16::try_from(view.workers.len()).unwrap_or(u16::MAX).clamp(1, 8).saturating_add(2);
    let [title, top, workers_at, stuck, gauges, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Max(graph),
        Constraint::Length(workers),
        Constraint::Min(3),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let style = if view.away { BAD.add_modifier(Modifier::BOLD) } else { BOLD };
    frame.render_widget(Paragraph::new(Line::styled(&*view.title, style)), title);
    let [batches, graph] = Layout::horizontal([Constraint::Length(36), Constraint::Min(20)]).areas(top);
    draw_batches(frame, view, batches);
    draw_graph(frame, view.batch.as_ref(), graph);
    let lines = |texts: &[String], none: &'static str| -> Vec<Line<'static>> {
        match texts {
            [] => vec![Line::styled(none, DIM)],
            texts => texts.iter().map(|text| Line::raw(text.clone())).collect(),
        }
    };
    let list = lines(&view.workers, "no workers");
    frame.render_widget(Paragraph::new(list).block(Block::bordered().title("workers")), workers_at);
    let list = lines(&view.stuck, "nothing is stuck");
    let style = if view.stuck.is_empty() { Style::new() } else { BAD };
    frame.render_widget(Paragraph::new(list).style(style).block(Block::bordered().title("stuck")), stuck);
    let [ram, disk] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(gauges);
    draw_gauge(frame, view.ram.as_ref(), ram);
    draw_gauge(frame, view.disk.as_ref(), disk);
    let style = if view.asks { BUSY.add_modifier(Modifier::BOLD) } else { DIM };
    frame.render_widget(Paragraph::new(Line::styled(&*view.footer, style)), footer);
}

fn draw_batches(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let chosen = view.batches.iter().position(|line| line.chosen).unwrap_or(0);
    // The chosen one stays in sight.
    let room = usize::from(area.height.saturating_sub(2)).max(1);
    let first = (chosen + 1).saturating_sub(room);
    let line = |line: &super::model::BatchLine| {
        let mark = if line.chosen { "> " } else { "  " };
        let mut style = if line.stuck { BAD } else { Style::new() };
        if line.chosen {
            style = style.add_modifier(Modifier::REVERSED);
        }
        Line::styled(format!("{mark}{}", line.text), style)
    };
    let mut lines: Vec<Line<'_>> = view.batches.iter().skip(first).map(line).collect();
    if lines.is_empty() {
        lines.push(Line::styled("no batches", DIM));
    }
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title("batches")), area);
}

/// The rounds, each leading to the next, and under them the branches that come together in the recursion tip.
fn draw_graph(frame: &mut Frame<'_>, batch: Option<&BatchView>, area: Rect) {
    let Some(batch) = batch else {
        frame.render_widget(Block::bordered().title("rounds"), area);
        return;
    };
    let mut lines = vec![Line::raw(batch.pace.clone())];
    for (at, (round, tally)) in batch.rounds.iter().enumerate() {
        lines.push(round_line(at, *round, tally));
    }
    if !batch.lanes.is_empty() {
        lines.push(Line::styled("branches: basic, leaf, node; all meet in the tip, then the scheduler", DIM));
    }
    let last = batch.lanes.len().saturating_sub(1);
    for (at, lane) in batch.lanes.iter().enumerate() {
        let mut spans = vec![Span::raw(format!("{:<22.22} ", lane.name))];
        for (step, tally) in lane.rounds.iter().enumerate() {
            if step > 0 {
                spans.push(Span::styled("─▶ ", DIM));
            }
            spans.push(Span::styled(format!("{:>4}/{:<4} ", tally.done, tally.total), style_of(tally)));
        }
        let end = match (at, last) {
            (0, 0) => "─▶ tip ─▶ scheduler",
            (0, _) => "─┬▶ tip ─▶ scheduler",
            (at, last) if at == last => "─┘",
            _ => "─┤",
        };
        spans.push(Span::styled(end, DIM));
        lines.push(Line::from(spans));
    }
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(batch.title.clone())), area);
}

fn round_line(at: usize, round: AggregationRound, tally: &Tally) -> Line<'static> {
    let arrow = if at == 0 { "   " } else { "└▶ " };
    let mut spans = vec![
        Span::styled(arrow, DIM),
        Span::raw(format!("{} {:<14}", round as u8, round.name())),
        Span::styled(bar(tally, 20), style_of(tally)),
    ];
    let text = match tally.total {
        0 => format!(" {}", tally.state()),
        _ => format!(" {}, {tally}", tally.state()),
    };
    spans.push(Span::raw(text));
    Line::from(spans)
}

/// `████▓▓░░░░`: done, in progress, the rest.
fn bar(tally: &Tally, width: u64) -> String {
    let part = |count: u64| (count * width).checked_div(tally.total).unwrap_or(0);
    let done = part(tally.done);
    let busy = part(tally.done + tally.in_progress).saturating_sub(done);
    let times = |text: &str, count: u64| text.repeat(usize::try_from(count).unwrap_or(0));
    let rest = if tally.total == 0 { " " } else { "░" };
    format!("{}{}{}", times("█", done), times("▓", busy), times(rest, width.saturating_sub(done + busy)))
}

const fn style_of(tally: &Tally) -> Style {
    match tally {
        Tally { total: 0, .. } => DIM,
        Tally { stuck: 1.., .. } => BAD,
        Tally { total, done, .. } if *total == *done => GOOD,
        Tally { in_progress: 1.., .. } => BUSY,
        _ => Style::new(),
    }
}

fn draw_gauge(frame: &mut Frame<'_>, gauge: Option<&Gauge>, area: Rect) {
    let Some(gauge) = gauge else { return };
    let style = if gauge.used > 0.9 { BAD } else { Style::new().fg(Color::Blue) };
    let bar = Bar::default().ratio(gauge.used.clamp(0.0, 1.0)).label(gauge.text.clone()).gauge_style(style);
    frame.render_widget(bar, area);
}

#[cfg(test)]
mod tests {
    use ratatui::{backend::TestBackend, Terminal};

    use super::{
        super::model::{
            tests::{batch, lanes, seen},
            view, Pace,
        },
        *,
    };

    fn drawn(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn everything_is_on_the_screen() {
        let mut pace = Pace::default();
        pace.note(batch(2), 0, 1);
        pace.note(batch(2), 30_000, 4);
        let mut view = view(&seen(), Some(batch(2)), &pace, &lanes());
        view.title = "house keeper unix:x".into();
        view.footer = "q quit".into();
        let screen = drawn(&view, 130, 32);
        for text in [
            "house keeper unix:x",
            "> 1/2              stuck     44 %",
            "1/1              proving",
            "batch 1/2 (version 0.1.0, priority 5): stuck",
            "6.0 jobs/min, 5 left: about 50 s",
            "0 basic",
            "stuck, 6 jobs: 4 done, 1 in progress, 1 given up",
            "└▶ 1 leaf",
            "█████████████▓▓▓░░░░",
            "└▶ 4 scheduler",
            "no jobs yet",
            "Executor",
            "3/5",
            "tip ─▶ scheduler",
            "Hasher",
            "─┘",
            "circuit-prover           prover-1 on here, 1/2 slabs free, 1 wait, 1 proving, has 1/2/prove/0/1/0/0; proving",
            "given up after 3 of 3 attempts: out of memory",
            "RAM 3.00 GiB of 4.00 GiB used, 1.00 GiB free",
            "disk",
            "q quit",
        ] {
            assert!(screen.contains(text), "no `{text}` in\n{screen}");
        }
    }

    #[test]
    fn no_size_and_no_emptiness_is_too_much() {
        let full = view(&seen(), Some(batch(2)), &Pace::default(), &lanes());
        for view in [&full, &View::default()] {
            for (width, height) in [(1, 1), (2, 40), (40, 2), (20, 10), (80, 24), (300, 100)] {
                drawn(view, width, height);
            }
        }
        let empty = drawn(&View::default(), 100, 30);
        for text in ["no batches", "no workers", "nothing is stuck", "rounds"] {
            assert!(empty.contains(text), "{empty}");
        }
    }

    #[test]
    fn the_chosen_batch_stays_in_sight() {
        let mut many = seen();
        let one = many.batches[0].clone();
        many.batches = (1..=60)
            .map(|n| ingot_house_keeper::protocol::BatchSummary { batch: batch(n), ..one.clone() })
            .collect();
        let view = view(&many, Some(batch(57)), &Pace::default(), &lanes());
        assert!(drawn(&view, 100, 30).contains("> 1/57"));
    }
}
