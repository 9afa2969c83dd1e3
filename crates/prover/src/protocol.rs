//! The protocol: what is committed, in which order challenges are drawn, what is opened. It computes on a [`Device`] and
//! gives the same bytes as the proof library's own prover.

use std::{marker::PhantomData, time::Instant};

use boojum::{
    cs::implementations::{
        proof::{OracleQuery, SingleRoundQueries},
        prover::compute_fri_schedule,
        transcript::{BoolsBuffer, Transcript as _},
    },
    field::{goldilocks::GoldilocksField as F, ExtensionField, U64Representable as _},
};
use ingot_circuit_set::field::{Proof, ProofConfig, Transcript, TreeHasher, Vk, WitnessVector};
use ingot_field::{pow, root_of_unity, Digest, Ext};

use crate::{
    device::{Device, Leaf, Opening, Part, Stage2Challenges},
    Layout, ProverError,
};

/// What a proof of work starts from: four challenges, as bytes.
pub type PowSeed = [u8; 32];

/// Queries, folding and proof of work, as the proof library's verifier derives them from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Bits of proof of work.
    pub pow_bits: u32,
    /// Queries.
    pub queries: usize,
    /// log2 of each folding step.
    pub folds_log2: Vec<u32>,
    /// Coefficients that are sent in the clear after the last fold.
    pub final_degree: usize,
}

impl Schedule {
    /// The schedule of `config` for 2^`rows_log2` rows.
    ///
    /// # Errors
    /// [`ProverError::Unsupported`] for a configuration that the library would panic on.
    pub fn new(config: &ProofConfig, rows_log2: u32) -> Result<Self, ProverError> {
        let unsupported = |what: String| Err(ProverError::Unsupported { what });
        let (cap, lde) = (config.merkle_tree_cap_size, config.fri_lde_factor);
        if config.fri_folding_schedule.is_some() {
            return unsupported("a folding schedule given from outside".into());
        }
        if !cap.is_power_of_two() || !lde.is_power_of_two() || cap > lde << rows_log2 {
            return unsupported(format!("a cap of {cap} nodes over {lde} · 2^{rows_log2} leaves"));
        }
        if config.security_level <= config.pow_bits as usize {
            return unsupported(format!(
                "{} bits of proof of work of {}",
                config.pow_bits, config.security_level
            ));
        }
        let (pow_bits, queries, folds, final_degree) = compute_fri_schedule(
            config.security_level as u32,
            cap,
            config.pow_bits,
            lde.trailing_zeros(),
            rows_log2,
        );
        if folds.is_empty() {
            return unsupported(format!("2^{rows_log2} rows: nothing to fold under a cap of {cap}"));
        }
        Ok(Self {
            pow_bits,
            queries,
            folds_log2: folds.into_iter().map(|f| f as u32).collect(),
            final_degree,
        })
    }
}

fn challenge(transcript: &mut Transcript) -> Ext {
    let [c0, c1] = transcript.get_multiple_challenges_fixed::<2>();
    Ext([c0.0, c1.0])
}

fn absorb_cap(transcript: &mut Transcript, cap: &[Digest]) -> Vec<[F; 4]> {
    let cap: Vec<[F; 4]> = cap.iter().map(|digest| digest.map(F)).collect();
    transcript.witness_merkle_tree_cap(&cap);
    cap
}

fn absorb_values(
    transcript: &mut Transcript,
    values: &[Ext],
) -> Vec<ExtensionField<F, 2, ingot_circuit_set::field::Ext>> {
    let values: Vec<_> =
        values.iter().map(|v| ExtensionField::from_coeff_in_base(v.canonical().0.map(F))).collect();
    for value in &values {
        transcript.witness_field_elements(value.as_coeffs_in_base());
    }
    values
}

fn oracle_query(leaf: Leaf) -> OracleQuery<F, TreeHasher> {
    OracleQuery {
        leaf_elements: leaf.elements.into_iter().map(F).collect(),
        proof: leaf.path.into_iter().map(|digest| digest.map(F)).collect(),
    }
}

/// Says how long each step took, at debug level.
struct Steps(Instant);

impl Steps {
    fn done(&mut self, step: &'static str) {
        let now = Instant::now();
        tracing::debug!(MICROSECONDS = now.duration_since(self.0).as_micros() as u64, "{step}");
        self.0 = now;
    }
}

/// Proves `witness` on `device`.
///
/// # Errors
/// [`ProverError`].
pub fn prove_on<D: Device>(
    device: &D,
    layout: &Layout,
    setup: &D::Setup,
    vk: &Vk,
    witness: &WitnessVector,
    config: &ProofConfig,
) -> Result<Proof, ProverError> {
    let mut transcript = Transcript::new(());
    transcript.witness_merkle_tree_cap(&vk.setup_merkle_tree_cap);

    let mut steps = Steps(Instant::now());
    let witness_columns = device.witness(setup, layout, witness);
    steps.done("witness columns");
    let omega = root_of_unity(layout.rows_log2);
    let mut public_inputs = vec![F(0); layout.public_inputs.len()];
    let mut public_openings = Vec::new();
    for (row, inputs) in layout.public_inputs_by_row() {
        let at = Ext::base(pow(omega, row as u64));
        let part = |&(_, column): &(usize, usize)| Part {
            columns: &witness_columns,
            range: column..column + 1,
            pairs: false,
        };
        let parts: Vec<_> = inputs.iter().map(part).collect();
        let values = device.evaluate(&parts, at);
        for ((input, _), value) in inputs.into_iter().zip(&values) {
            public_inputs[input] = F(value.canonical().0[0]);
        }
        // Challenges are drawn when everything is opened.
        public_openings.push(Opening { at, parts, challenges: Vec::new(), values });
    }
    for &input in &public_inputs {
        transcript.witness_field_elements(&[input]);
    }
    steps.done("public inputs");

    // Round 1: the witness.
    let witness_tree = device.commit(layout, &witness_columns);
    let witness_oracle_cap = absorb_cap(&mut transcript, &device.cap(&witness_tree));

    steps.done("witness tree");

    // Round 2: copy permutation and lookups.
    let mut challenges = Stage2Challenges {
        beta: challenge(&mut transcript),
        gamma: challenge(&mut transcript),
        lookup_beta: Ext::ZERO,
        lookup_gamma: Ext::ZERO,
    };
    if layout.lookup.is_some() {
        challenges.lookup_beta = challenge(&mut transcript);
        challenges.lookup_gamma = challenge(&mut transcript);
    }
    let stage2 = device.stage2(setup, layout, &witness_columns, &challenges)?;
    steps.done("stage 2");
    let stage2_tree = device.commit(layout, &stage2);
    let stage_2_oracle_cap = absorb_cap(&mut transcript, &device.cap(&stage2_tree));

    steps.done("stage 2 tree");

    // Round 3: the quotient.
    let alpha = challenge(&mut transcript);
    let quotient = device.quotient(setup, layout, &witness_columns, &stage2, &challenges, alpha)?;
    steps.done("quotient");
    let quotient_tree = device.commit(layout, &quotient);
    let quotient_oracle_cap = absorb_cap(&mut transcript, &device.cap(&quotient_tree));

    steps.done("quotient tree");

    // Round 4: openings.
    let z = challenge(&mut transcript);
    let z_omega = z.scale(omega);
    let setup_columns = device.setup_columns(setup);
    let (variables, witnesses) = (layout.variables, layout.variables + layout.witnesses);
    let sums = 2 * (1 + layout.partial_products);
    let base = |columns, range| Part { columns, range, pairs: false };
    let pairs = |columns, range| Part { columns, range, pairs: true };
    let at_z = vec![
        base(&witness_columns, 0..witnesses),
        base(setup_columns, variables..variables + layout.constants),
        base(setup_columns, 0..variables),
        pairs(&stage2, 0..sums),
        base(&witness_columns, witnesses..layout.witness_columns()),
        pairs(&stage2, sums..layout.stage2_columns()),
        base(setup_columns, variables + layout.constants..layout.setup_columns()),
        pairs(&quotient, 0..layout.quotient_columns()),
    ];
    let at_z_omega = vec![pairs(&stage2, 0..2)];
    let at_0 = vec![pairs(&stage2, sums..layout.stage2_columns())];
    let values_z = device.evaluate(&at_z, z);
    let values_at_z = absorb_values(&mut transcript, &values_z);
    let values_z_omega = device.evaluate(&at_z_omega, z_omega);
    let values_at_z_omega = absorb_values(&mut transcript, &values_z_omega);
    let values_0 = device.evaluate(&at_0, Ext::ZERO);
    let values_at_0 = absorb_values(&mut transcript, &values_0);

    steps.done("openings");

    // Round 5: DEEP.
    let mut powers = {
        let count = values_z.len() + values_z_omega.len() + values_0.len() + public_inputs.len();
        challenge(&mut transcript).powers(count).into_iter()
    };
    let mut openings = vec![
        Opening {
            at: z,
            parts: at_z,
            challenges: powers.by_ref().take(values_z.len()).collect(),
            values: values_z,
        },
        Opening {
            at: z_omega,
            parts: at_z_omega,
            challenges: powers.by_ref().take(values_z_omega.len()).collect(),
            values: values_z_omega,
        },
    ];
    if layout.lookup.is_some() {
        let challenges = powers.by_ref().take(values_0.len()).collect();
        openings.push(Opening { at: Ext::ZERO, parts: at_0, challenges, values: values_0 });
    }
    for mut opening in public_openings {
        opening.challenges = powers.by_ref().take(opening.values.len()).collect();
        openings.push(opening);
    }
    let base_codeword = device.deep(layout, &openings)?;
    drop(openings);

    steps.done("DEEP");

    // Round 6: FRI.
    let schedule = &layout.schedule;
    let mut codewords = vec![base_codeword];
    let mut trees = Vec::with_capacity(schedule.folds_log2.len());
    let mut caps = Vec::with_capacity(schedule.folds_log2.len());
    for &fold_log2 in &schedule.folds_log2 {
        let Some(codeword) = codewords.last() else { break };
        let tree = device.commit_codeword(layout, codeword, fold_log2);
        caps.push(absorb_cap(&mut transcript, &device.cap(&tree)));
        trees.push(tree);
        let folded = device.fold(codeword, fold_log2, challenge(&mut transcript));
        codewords.push(folded);
    }
    let final_fri_monomials = match codewords.pop() {
        Some(last) => device
            .coefficients(&last, schedule.final_degree)?
            .map(|c| c.into_iter().map(F).collect::<Vec<_>>()),
        None => [vec![], vec![]],
    };
    for monomials in &final_fri_monomials {
        transcript.witness_field_elements(monomials);
    }

    steps.done("FRI");

    // Round 7: proof of work.
    let pow_challenge = match schedule.pow_bits {
        0 => 0,
        bits => {
            let mut seed = PowSeed::default();
            for (bytes, element) in
                seed.chunks_exact_mut(8).zip(transcript.get_multiple_challenges_fixed::<4>())
            {
                bytes.copy_from_slice(&element.as_u64_reduced().to_le_bytes());
            }
            let nonce = device.grind(&seed, bits);
            let halves = [nonce & 0xffff_ffff, nonce >> 32].map(F);
            transcript.witness_field_elements(&halves);
            nonce
        }
    };

    steps.done("proof of work");

    // Round 8: queries.
    let domain_log2 = layout.rows_log2 + layout.lde_log2;
    let mut bits = BoolsBuffer { available: vec![], max_needed: domain_log2 as usize };
    let indices: Vec<usize> = (0..schedule.queries)
        .map(|_| {
            let drawn = bits.get_bits(&mut transcript, domain_log2 as usize);
            // Place in the coset first, then the coset: together the place in the bit-reversed domain.
            drawn.iter().enumerate().fold(0, |index, (bit, &set)| index | usize::from(set) << bit)
        })
        .collect();
    let mut fri: Vec<Vec<Leaf>> = Vec::with_capacity(trees.len());
    let mut places = indices.clone();
    for ((codeword, tree), &fold_log2) in codewords.iter().zip(&trees).zip(&schedule.folds_log2) {
        for place in &mut places {
            *place >>= fold_log2;
        }
        fri.push(device.query_codeword(codeword, tree, fold_log2, &places));
    }
    let mut fri: Vec<_> = fri.into_iter().map(Vec::into_iter).collect();
    let query = |columns, tree| device.query(layout, columns, tree, &indices).into_iter().map(oracle_query);
    let queries_per_fri_repetition = query(&witness_columns, &witness_tree)
        .zip(query(&stage2, &stage2_tree))
        .zip(query(&quotient, &quotient_tree))
        .zip(query(setup_columns, device.setup_tree(setup)))
        .map(|(((witness_query, stage_2_query), quotient_query), setup_query)| SingleRoundQueries {
            witness_query,
            stage_2_query,
            quotient_query,
            setup_query,
            fri_queries: fri.iter_mut().filter_map(Iterator::next).map(oracle_query).collect(),
        })
        .collect();

    steps.done("queries");

    let mut caps = caps.into_iter();
    Ok(Proof {
        proof_config: config.clone(),
        public_inputs,
        witness_oracle_cap,
        stage_2_oracle_cap,
        quotient_oracle_cap,
        final_fri_monomials,
        values_at_z,
        values_at_z_omega,
        values_at_0,
        fri_base_oracle_cap: caps.next().unwrap_or_default(),
        fri_intermediate_oracles_caps: caps.collect(),
        queries_per_fri_repetition,
        pow_challenge,
        _marker: PhantomData,
    })
}
