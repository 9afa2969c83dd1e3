//! The one circuit of the set: a chain of multiply-adds over four values, which are its public input at the end.

use boojum::{
    cs::{
        cs_builder::{CsBuilder, CsBuilderImpl},
        gates::{FmaGateInBaseFieldWithoutConstant, NopGate, PublicInputGate},
        toolboxes::{gate_config::GateConfigurationHolder, static_toolbox::StaticToolboxHolder},
        traits::{circuit::CircuitBuilder, cs::ConstraintSystem, gate::GatePlacementStrategy},
        CSGeometry, LookupParameters,
    },
    field::{Field, U64Representable},
};
use ingot_circuit_set::{
    field::{Digest, F},
    SetCircuit,
};

/// Multiply-adds in the chain.
const STEPS: u64 = 200;

/// A chain of multiply-adds that starts at `input`. `tweak` is a constant of the circuit: another tweak, another
/// verification key.
#[derive(Clone, Debug)]
pub struct Chain {
    /// Constant of the circuit.
    pub tweak: u64,
    /// The four values the chain starts from.
    pub input: Digest,
    /// log2 of the number of rows.
    pub rows_log2: u32,
}

impl Chain {
    fn coefficient(&self, step: u64) -> F {
        F::from_u64_unchecked(self.tweak % (1 << 32) + step + 1)
    }

    /// The public input, computed without the circuit.
    pub fn output(&self) -> Digest {
        let mut x = self.input;
        for step in 0..STEPS {
            let [i, j, k] = places(step);
            let mut product = x[i];
            product.mul_assign(&x[j]);
            let mut linear = self.coefficient(step);
            linear.mul_assign(&x[k]);
            product.add_assign(&linear);
            x[i] = product;
        }
        x
    }
}

fn places(step: u64) -> [usize; 3] {
    [step, step + 1, step + 2].map(|i| (i % 4) as usize)
}

impl CircuitBuilder<F> for Chain {
    fn geometry() -> CSGeometry {
        CSGeometry {
            num_columns_under_copy_permutation: 8,
            num_witness_columns: 0,
            num_constant_columns: 4,
            max_allowed_constraint_degree: 4,
        }
    }

    fn lookup_parameters() -> LookupParameters {
        LookupParameters::NoLookup
    }

    fn configure_builder<T: CsBuilderImpl<F, T>, GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<T, F, GC, TB>,
    ) -> CsBuilder<T, F, impl GateConfigurationHolder<F>, impl StaticToolboxHolder> {
        let general = GatePlacementStrategy::UseGeneralPurposeColumns;
        let builder = FmaGateInBaseFieldWithoutConstant::configure_builder(builder, general);
        let builder = PublicInputGate::configure_builder(builder, general);
        NopGate::configure_builder(builder, general)
    }
}

impl SetCircuit for Chain {
    fn trace_len(&self) -> usize {
        1 << self.rows_log2
    }

    fn max_variables(&self) -> usize {
        1 << 12
    }

    fn synthesize<CS: ConstraintSystem<F> + 'static>(&self, cs: &mut CS) {
        for _ in 0..4 {
            PublicInputGate::reserve_public_input_location(cs);
        }
        let mut x = self.input.map(|value| cs.alloc_single_variable_from_witness(value));
        for step in 0..STEPS {
            let [i, j, k] = places(step);
            x[i] = FmaGateInBaseFieldWithoutConstant::compute_fma(
                cs,
                F::ONE,
                (x[i], x[j]),
                self.coefficient(step),
                x[k],
            );
        }
        for variable in x {
            PublicInputGate::use_reserved_public_input_location(cs, variable);
        }
    }
}
