//! The state tree: whole and partial trees agree, and a partial tree accepts nothing that is not in the state.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use boojum::field::{Field, U64Representable};
use ingot_circuit_set::field::{Digest, F};
use ingot_ledger::native::{
    hash::{element, hash},
    tree::{path_root, Leaf, PartialTree, State, TouchedLeaf, Tree, TreeError},
};
use proptest::prelude::*;

fn digest(value: u64) -> Digest {
    std::array::from_fn(|i| F::from_u64_unchecked(value * 4 + i as u64))
}

fn leaf(value: u64) -> Leaf {
    Leaf { key: digest(value + 1), balance: value * 1_000_003, nonce: value as u32 }
}

fn touched(tree: &Tree, index: u32) -> TouchedLeaf {
    TouchedLeaf { index, leaf: tree.get(index), siblings: tree.path(index) }
}

#[test]
fn leaf_and_node_hashes_follow_the_specification() {
    let l = Leaf { key: digest(9), balance: (5 << 32) + 6, nonce: 7 };
    let mut input = digest(9).to_vec();
    input.extend([5, 6, 7, 0].map(element));
    assert_eq!(l.hash(), hash(1, &input));

    let tree = Tree::from_iter([(1, l)]);
    let mut node = hash(2, &[Leaf::FREE.hash(), l.hash()].concat());
    let mut empty = hash(2, &[Leaf::FREE.hash(), Leaf::FREE.hash()].concat());
    for level in 1..32 {
        node = hash(2 + 256 * level, &[node, empty].concat());
        empty = hash(2 + 256 * level, &[empty, empty].concat());
    }
    assert_eq!(tree.root(), node);
    assert_eq!(Tree::new().root(), empty);
}

/// Pins the hash, its tags and the tree at once: a change of any of them is a new protocol version.
#[test]
fn the_empty_state_has_this_root() {
    let root = Tree::new().root().map(|x| x.as_u64_reduced());
    assert_eq!(root, EMPTY_ROOT);
}

const EMPTY_ROOT: [u64; 4] =
    [553281491348994338, 11351266874667256014, 4954200585715831813, 5786436686429962916];

#[test]
fn removing_an_account_restores_the_root() {
    let mut tree = Tree::from_iter([(3, leaf(3))]);
    let before = tree.root();
    tree.update(u32::MAX, leaf(4));
    assert_ne!(tree.root(), before);
    tree.update(u32::MAX, Leaf::FREE);
    assert_eq!(tree.root(), before);
    assert_eq!(tree.accounts().len(), 1);
}

#[test]
fn an_account_exists_exactly_if_its_key_is_not_zero() {
    assert!(!Leaf::FREE.exists());
    assert!(!Leaf { balance: 1, nonce: 1, ..Leaf::FREE }.exists());
    let key = [F::ZERO, F::ZERO, F::ZERO, F::ONE];
    assert!(Leaf { key, ..Leaf::FREE }.exists());
}

#[test]
fn a_partial_tree_names_the_entry_that_does_not_belong() {
    let tree = Tree::from_iter([(0, leaf(1)), (5, leaf(2)), (u32::MAX, leaf(3))]);
    let good: Vec<_> = [0, 5, 6].map(|index| touched(&tree, index)).into();
    assert!(PartialTree::new(tree.root(), &good).is_ok());
    for position in 0..3 {
        let wrong_root = |change: fn(&mut TouchedLeaf)| {
            let mut bad = good.clone();
            change(&mut bad[position]);
            let index = bad[position].index;
            match PartialTree::new(tree.root(), &bad) {
                Err(TreeError::WrongRoot { index: named, expected, found }) => {
                    assert_eq!((named, expected), (index, tree.root()));
                    assert_ne!(found, expected);
                }
                other => panic!("{other:?}"),
            }
        };
        wrong_root(|t| t.leaf.balance ^= 1);
        wrong_root(|t| t.leaf.nonce ^= 1);
        wrong_root(|t| t.leaf.key[3] = F::from_u64_unchecked(77));
        wrong_root(|t| t.siblings[0][0] = F::from_u64_unchecked(77));
        wrong_root(|t| t.siblings[31][3] = F::from_u64_unchecked(77));
        wrong_root(|t| t.index ^= 8);
    }
    let twice = [good[0].clone(), good[1].clone(), good[0].clone()];
    assert_eq!(PartialTree::new(tree.root(), &twice).unwrap_err(), TreeError::Duplicate { index: 0 });
}

#[test]
fn a_partial_tree_knows_nothing_of_other_leaves() {
    let tree = Tree::from_iter([(0, leaf(1)), (1, leaf(2))]);
    let mut partial = PartialTree::new(tree.root(), &[touched(&tree, 0)]).unwrap();
    assert_eq!(partial.leaf(1), None);
    assert_eq!(partial.siblings(1), None);
    assert!(!partial.set(1, leaf(5)));
    assert_eq!(partial.root(), tree.root());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Indices are drawn from a small range and its mirror image, so that paths meet at all heights.
    #[test]
    fn partial_and_whole_trees_agree(
        accounts in prop::collection::vec((0u32..24, any::<bool>()), 0..12),
        updates in prop::collection::vec((0u32..24, any::<bool>(), 0u64..5), 1..12),
    ) {
        let at = |(index, high): (u32, bool)| if high { !index } else { index };
        let mut tree = Tree::from_iter(accounts.iter().enumerate().map(|(i, a)| (at(*a), leaf(i as u64))));
        let old_root = tree.root();
        let mut indices: Vec<u32> = updates.iter().map(|u| at((u.0, u.1))).collect();
        indices.sort_unstable();
        indices.dedup();
        let entries: Vec<_> = indices.iter().map(|index| touched(&tree, *index)).collect();
        let mut partial = PartialTree::new(old_root, &entries).unwrap();
        for (index, high, value) in updates {
            let index = at((index, high));
            let new = if value == 0 { Leaf::FREE } else { leaf(value) };
            prop_assert_eq!(partial.leaf(index), Some(tree.get(index)));
            prop_assert_eq!(partial.siblings(index), Some(tree.path(index)));
            tree.update(index, new);
            prop_assert!(partial.set(index, new));
            prop_assert_eq!(partial.root(), tree.root());
            prop_assert_eq!(path_root(index, &new, &tree.path(index)), tree.root());
        }
        // Order of insertion does not matter.
        let again: Tree = tree.accounts().iter().rev().map(|(i, l)| (*i, *l)).collect();
        prop_assert_eq!(again.root(), tree.root());
    }
}
