//! Prover groups: which pairs of round and circuit id the provers of a group prove.
//!
//! A file such as
//!
//! ```toml
//! [[group]]
//! id = 0
//! circuits = [[0, 1], [0, 2]]   # [round, circuit id], as jobs name them
//! ```
//!
//! A group that the file does not name proves everything, and so does a prover without a group. A pair that no group has
//! would never be proved by dedicated provers, and one that two groups have would be proved by either without being meant
//! to be: both are errors (see [`Groups::validate`]), because they have stopped production elsewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use ingot_types::{AggregationRound, CircuitId, CircuitKey};
use serde::Deserialize;

/// What can be wrong with a groups file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupsError {
    /// It cannot be read.
    #[error("cannot read the prover groups {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no groups file.
    #[error("{path}: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Pairs are missing, there twice, or unknown.
    #[error("prover groups: {0}")]
    Pairs(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    group: Vec<FileGroup>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileGroup {
    id: u8,
    circuits: Vec<(u8, u8)>,
}

/// The groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    groups: BTreeMap<u8, BTreeSet<CircuitKey>>,
}

impl Groups {
    /// Reads a groups file.
    ///
    /// # Errors
    /// [`GroupsError`], naming the file.
    pub fn load(path: &Path) -> Result<Self, GroupsError> {
        let io = |source| GroupsError::Io { path: path.to_owned(), source };
        let text = fs::read_to_string(path).map_err(io)?;
        Self::parse(&text).map_err(|reason| GroupsError::Malformed { path: path.to_owned(), reason })
    }

    /// Reads the text of a groups file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
        let mut groups: BTreeMap<u8, BTreeSet<CircuitKey>> = BTreeMap::new();
        for group in file.group {
            let mut circuits = BTreeSet::new();
            for (round, circuit_id) in group.circuits {
                let round = AggregationRound::try_from(round)
                    .map_err(|e| format!("group {}: {e} in [round, circuit id]", group.id))?;
                let pair = CircuitKey { round, circuit_id: CircuitId(circuit_id) };
                if !circuits.insert(pair) {
                    return Err(format!("group {} names {pair} twice", group.id));
                }
            }
            if groups.insert(group.id, circuits).is_some() {
                return Err(format!("group {} is there twice", group.id));
            }
        }
        Ok(Self { groups })
    }

    /// Whether every pair of `all` is in exactly one group, and no other pair is. Without any group there is nothing to
    /// check.
    ///
    /// # Errors
    /// [`GroupsError::Pairs`], naming every pair that is wrong.
    pub fn validate(&self, all: &BTreeSet<CircuitKey>) -> Result<(), GroupsError> {
        if self.groups.is_empty() {
            return Ok(());
        }
        let mut wrong = Vec::new();
        for pair in all {
            let owners: Vec<String> = self
                .groups
                .iter()
                .filter(|(_, set)| set.contains(pair))
                .map(|(id, _)| id.to_string())
                .collect();
            match owners.as_slice() {
                [_] => {}
                [] => wrong.push(format!("{pair} (round:id) is in no group")),
                more => wrong.push(format!("{pair} (round:id) is in groups {}", more.join(" and "))),
            }
        }
        for (id, set) in &self.groups {
            wrong.extend(
                set.difference(all)
                    .map(|pair| format!("group {id} names {pair} (round:id), which is no circuit")),
            );
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(GroupsError::Pairs(wrong.join("; "))),
        }
    }

    /// The pairs of a group; `None`: all.
    pub fn circuits(&self, group: Option<u8>) -> Option<&BTreeSet<CircuitKey>> {
        self.groups.get(&group?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(u8, u8)]) -> BTreeSet<CircuitKey> {
        list.iter()
            .map(|(round, id)| CircuitKey::new(AggregationRound::try_from(*round).unwrap(), *id))
            .collect()
    }

    #[test]
    fn every_pair_is_in_exactly_one_group_or_the_error_names_it() {
        let all = pairs(&[(0, 1), (0, 2), (1, 1)]);
        let good = "[[group]]\nid = 0\ncircuits = [[0, 1]]\n[[group]]\nid = 7\ncircuits = [[0, 2], [1, 1]]\n";
        let groups = Groups::parse(good).unwrap();
        groups.validate(&all).unwrap();
        assert_eq!(groups.circuits(Some(7)), Some(&pairs(&[(0, 2), (1, 1)])));
        assert_eq!((groups.circuits(Some(100)), groups.circuits(None)), (None, None));
        let bad = "[[group]]\nid = 0\ncircuits = [[0, 1], [3, 9]]\n[[group]]\nid = 1\ncircuits = [[0, 1], [0, 2]]\n";
        let error = Groups::parse(bad).unwrap().validate(&all).unwrap_err().to_string();
        for text in ["0:1 (round:id) is in groups 0 and 1", "1:1 (round:id) is in no group", "names 3:9"] {
            assert!(error.contains(text), "{error}");
        }
        Groups::default().validate(&all).unwrap();
    }

    #[test]
    fn what_is_no_groups_file_is_refused() {
        for (text, reason) in [
            ("[[group]]\nid = 0\ncircuits = [[5, 1]]", "unknown aggregation round 5"),
            ("[[group]]\nid = 0\ncircuits = [[0, 1], [0, 1]]", "twice"),
            ("[[group]]\nid = 0\ncircuits = []\n[[group]]\nid = 0\ncircuits = []", "group 0 is there twice"),
            ("[[group]]\nid = 300\ncircuits = []", "300"),
            ("[[group]]\nid = 0\ncircuits = []\ncolour = 3", "colour"),
            ("groups", "expected"),
        ] {
            let error = Groups::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert!(Groups::load(Path::new("/nonexistent/groups.toml"))
            .unwrap_err()
            .to_string()
            .contains("/nonexistent"));
    }
}
