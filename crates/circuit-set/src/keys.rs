//! Setup keys: what a prover loads once per circuit, and their file form.

use std::fmt;

use boojum::{
    cs::implementations::fast_serialization::MemcopySerializable,
    field::traits::field_like::{PrimeFieldLike, TrivialContext},
};

use crate::{
    codec::{decode, encode},
    field::{
        FinalizationHint, Packed, SetupBase, SetupLde, SetupTree, VariablesHint, Vk, WitnessHint, Worker,
    },
    SetError,
};

/// Everything made at setup for one circuit.
///
/// The polynomials on all cosets (hundreds of megabytes) are not part of it: [`SetupKey::lde`] recomputes them in
/// about a second, which is faster than reading them from most disks.
pub struct SetupKey {
    /// The verification key.
    pub vk: Vk,
    /// The finalization hint.
    pub hint: FinalizationHint,
    /// Setup polynomials on the base domain.
    pub base: SetupBase,
    /// Merkle tree over them on all cosets.
    pub tree: SetupTree,
    /// Where copied variables sit.
    pub variables_hint: VariablesHint,
    /// Where witness-only variables sit.
    pub witness_hint: WitnessHint,
}

impl fmt::Debug for SetupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetupKey").field("trace_len", &self.hint.final_trace_len).finish_non_exhaustive()
    }
}

impl SetupKey {
    /// The prover's part as bytes: base polynomials, hints, tree. The verification key and the finalization hint are
    /// files of their own.
    ///
    /// # Errors
    /// [`SetError::Malformed`] if a part cannot be encoded.
    pub fn prover_part(&self) -> Result<Vec<u8>, SetError> {
        let mut out = Vec::new();
        let put = |what: &str, result: Result<(), Box<dyn std::error::Error>>| {
            result.map_err(|e| SetError::malformed(what, e))
        };
        put("setup polynomials", self.base.write_into_buffer(&mut out))?;
        put("variables hint", self.variables_hint.write_into_buffer(&mut out))?;
        put("witness hint", self.witness_hint.write_into_buffer(&mut out))?;
        out.extend(encode("setup tree", &self.tree)?);
        Ok(out)
    }

    /// Puts a key together from [`SetupKey::prover_part`], the verification key and the finalization hint.
    ///
    /// The bytes must be authentic (checked against a pinned hash): the format does not defend itself.
    ///
    /// # Errors
    /// [`SetError::Malformed`] if the bytes do not hold a setup key.
    pub fn from_parts(vk: Vk, hint: FinalizationHint, prover_part: &[u8]) -> Result<Self, SetError> {
        let mut rest = prover_part;
        fn get<T: MemcopySerializable>(what: &str, rest: &mut &[u8]) -> Result<T, SetError> {
            T::read_from_buffer(&mut *rest).map_err(|e| SetError::malformed(what, e))
        }
        let base = get("setup polynomials", &mut rest)?;
        let variables_hint = get("variables hint", &mut rest)?;
        let witness_hint = get("witness hint", &mut rest)?;
        let tree = decode("setup tree", rest)?;
        Ok(Self { vk, hint, base, tree, variables_hint, witness_hint })
    }

    /// Setup polynomials on all cosets that the proof library's prover works on: those of the quotient's degree, or more
    /// if the low-degree extension has more.
    pub fn lde(&self, worker: &Worker) -> SetupLde {
        SetupLde::from_base_trace(
            self.base.copy_permutation_polys.clone(),
            self.base.constant_columns.clone(),
            self.base.lookup_tables_columns.clone(),
            self.base.table_ids_column_idxes.clone(),
            self.vk.fixed_parameters.fri_lde_factor.max(self.vk.fixed_parameters.quotient_degree),
            worker,
            &mut <Packed as PrimeFieldLike>::Context::placeholder(),
        )
    }
}
