//! A circuit's setup in memory: coefficients, tree, programs, selectors.

use std::alloc::Global;

use boojum::cs::implementations::copy_permutation::non_residues_for_copy_permutation;
use ingot_circuit_set::{field::F, setup_columns, setup_polynomials, GateSet, SetupKey, SpecializedGate};
use ingot_field::{bit_reverse, canonical, mul, root_of_unity, Columns, Level, Tree};

use super::program::Program;
use crate::{Layout, ProverError};

/// A gate and where it stands.
#[derive(Clone, Debug)]
pub struct PlacedGate {
    /// Its constraints.
    pub program: Program,
    /// First variable, witness and constant column.
    pub start: [usize; 3],
    /// Which constant columns, from 0 on, must be one (`true`) or zero on its rows; empty for a gate over columns of its
    /// own, which is on every row.
    pub selector: Vec<bool>,
}

/// A setup key made ready for the CPU device.
#[derive(Clone, Debug)]
pub struct CpuSetup {
    /// Coefficients of permutation polynomials, constants and lookup tables.
    pub columns: Columns,
    /// Their tree.
    pub tree: Tree,
    /// Gates in the order of their powers of α: those over columns of their own come first.
    pub gates: Vec<PlacedGate>,
    /// The coset of each column under the copy permutation.
    pub copy_cosets: Vec<u64>,
    /// The domain's points in bit-reversed order.
    pub domain: Vec<u64>,
    /// Place of ωx for the place of x, in bit-reversed order.
    pub next: Vec<u32>,
    /// Row and column hints of variables and witnesses: index into the witness vector + 1, 0 for none; natural rows.
    pub places: Vec<Vec<u32>>,
}

impl CpuSetup {
    /// Prepares `key`.
    ///
    /// # Errors
    /// [`ProverError::Setup`] if the key's parts do not fit the layout, [`ProverError::Unsupported`] for gates that have
    /// no selector.
    pub fn new(level: Level, key: &SetupKey, gates: &GateSet, layout: &Layout) -> Result<Self, ProverError> {
        let (rows_log2, rows) = (layout.rows_log2, layout.rows());
        let error = |part, expected, found| Err(ProverError::Setup { part, expected, found });
        let base = &key.base;
        let tables = layout.lookup.as_ref().map_or(0, |l| l.table_columns);
        for (part, expected, found) in [
            ("permutation polynomials", layout.variables, base.copy_permutation_polys.len()),
            ("constant columns", layout.constants, base.constant_columns.len()),
            ("table columns", tables, base.lookup_tables_columns.len()),
            ("tree leaves", rows << layout.lde_log2, key.tree.leaf_hashes.len()),
            ("variables hint", layout.variables, key.variables_hint.maps.len()),
            ("witness hint", layout.witnesses, key.witness_hint.maps.len()),
        ] {
            if expected != found {
                return error(part, expected, found);
            }
        }
        let found = setup_polynomials(base).map(|values| values.len()).find(|&found| found != rows);
        if let Some(found) = found {
            return error("rows", rows, found);
        }
        let columns = setup_columns(base, level);

        let digests = |layer: &[[F; 4]]| layer.iter().map(|d| d.map(|x| canonical(x.0))).collect::<Vec<_>>();
        let layers =
            std::iter::once(&key.tree.leaf_hashes).chain(&key.tree.node_hashes_enumerated_from_leafs);
        let tree = Tree::from_layers(layers.map(|layer| digests(layer)).collect());
        if tree.cap() != digests(&key.vk.setup_merkle_tree_cap) {
            return error("tree cap that the verification key names", 1, 0);
        }

        let mut placed = Vec::new();
        for SpecializedGate { gate, start, .. } in gates.specialized.iter().filter(|gate| !gate.is_lookup) {
            placed.push(PlacedGate {
                program: Program::new(&gate.tape, gate.repetitions, gate.stride),
                start: [start.variables, start.witnesses, layout.general_constants + start.constants],
                selector: Vec::new(),
            });
        }
        for (index, gate) in gates.general.iter().enumerate() {
            if gate.tape.terms.is_empty() {
                continue;
            }
            let path = base.selectors_placement.output_placement(index);
            match path.filter(|path| !path.is_empty()) {
                // Its constants come after its selector's.
                Some(selector) => placed.push(PlacedGate {
                    program: Program::new(&gate.tape, gate.repetitions, gate.stride),
                    start: [0, 0, selector.len()],
                    selector,
                }),
                None => {
                    return Err(ProverError::Unsupported {
                        what: format!("gate {} without a selector", gate.name),
                    })
                }
            }
        }

        let omega = root_of_unity(rows_log2);
        let mut domain = vec![1; rows];
        let mut x = 1;
        for row in 0..rows {
            domain[bit_reverse(row, rows_log2)] = x;
            x = mul(x, omega);
        }
        let next = (0..rows)
            .map(|place| bit_reverse((bit_reverse(place, rows_log2) + 1) % rows, rows_log2) as u32)
            .collect();
        let copy_cosets = non_residues_for_copy_permutation::<F, Global>(rows, layout.variables)
            .into_iter()
            .map(|k| canonical(k.0))
            .collect();
        let variables = key.variables_hint.maps.iter().map(|map| {
            map.iter().map(|v| if v.is_placeholder() { 0 } else { v.as_variable_index() + 1 }).collect()
        });
        let witnesses = key.witness_hint.maps.iter().map(|map| {
            map.iter().map(|w| if w.is_placeholder() { 0 } else { w.as_witness_index() as u32 + 1 }).collect()
        });
        let places: Vec<Vec<u32>> = variables.chain(witnesses).collect();
        if let Some(long) = places.iter().map(Vec::len).find(|&len| len > rows) {
            return error("rows of a hint", rows, long);
        }
        Ok(Self { columns, tree, gates: placed, copy_cosets, domain, next, places })
    }
}
