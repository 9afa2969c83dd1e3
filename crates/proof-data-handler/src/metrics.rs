//! The handler's figures in Prometheus' text form. docs/metrics.md has their table.

use std::{
    fmt::{self, Write as _},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::store::Figures;

/// Proofs verified since the start.
#[derive(Debug, Default)]
pub(crate) struct Verifications {
    valid: AtomicU64,
    invalid: AtomicU64,
}

impl Verifications {
    /// A proof was verified.
    pub fn count(&self, valid: bool) {
        let counter = if valid { &self.valid } else { &self.invalid };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// All of it.
pub(crate) fn exposition(
    figures: &Figures,
    verifications: &Verifications,
    now_ms: u64,
) -> Result<String, fmt::Error> {
    let mut page = String::new();
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(&str, u64)]| {
        writeln!(page, "# HELP ingot_handler_{name} {help}\n# TYPE ingot_handler_{name} {kind}")?;
        samples.iter().try_for_each(|(labels, value)| writeln!(page, "ingot_handler_{name}{labels} {value}"))
    };
    let states = [
        ("{state=\"waiting\"}", figures.waiting),
        ("{state=\"handed-out\"}", figures.handed_out),
        ("{state=\"proved\"}", figures.proved),
    ];
    family("batches", "gauge", "Batches by where they stand.", &states)?;
    let age = figures.oldest_unproved_ms.map_or(0, |since| now_ms.saturating_sub(since) / 1000);
    family("oldest_unproved_seconds", "gauge", "Age of the oldest batch that is not proved.", &[("", age)])?;
    family("handed_out_total", "counter", "Batches handed out.", &[("", figures.times_handed_out)])?;
    family("refused_proofs_total", "counter", "Proofs that were refused.", &[("", figures.refused)])?;
    let outcomes = [
        ("{outcome=\"valid\"}", verifications.valid.load(Ordering::Relaxed)),
        ("{outcome=\"invalid\"}", verifications.invalid.load(Ordering::Relaxed)),
    ];
    family("verifications_total", "counter", "Proofs verified, by outcome.", &outcomes)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_figure_is_in_the_documentation_and_no_other() {
        let page = exposition(&Figures::default(), &Verifications::default(), 0).unwrap();
        let served: BTreeSet<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|line| line.split(' ').next())
            .collect();
        let documented: BTreeSet<&str> = include_str!("../../../docs/metrics.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `ingot_handler_"))
            .filter_map(|line| line.split('`').next())
            .collect();
        let named = documented.iter().map(|name| format!("ingot_handler_{name}")).collect::<BTreeSet<_>>();
        assert_eq!(named, served.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>());
    }

    #[test]
    fn figures_are_written_as_they_are() {
        let verifications = Verifications::default();
        verifications.count(true);
        verifications.count(false);
        verifications.count(false);
        let figures = Figures {
            waiting: 1,
            handed_out: 2,
            proved: 3,
            oldest_unproved_ms: Some(5_000),
            times_handed_out: 4,
            refused: 5,
        };
        let page = exposition(&figures, &verifications, 12_500).unwrap();
        for line in [
            "ingot_handler_batches{state=\"waiting\"} 1",
            "ingot_handler_batches{state=\"handed-out\"} 2",
            "ingot_handler_batches{state=\"proved\"} 3",
            "ingot_handler_oldest_unproved_seconds 7",
            "ingot_handler_handed_out_total 4",
            "ingot_handler_refused_proofs_total 5",
            "ingot_handler_verifications_total{outcome=\"valid\"} 1",
            "ingot_handler_verifications_total{outcome=\"invalid\"} 2",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
    }
}
