//! A circuit builder that keeps gates as tapes.

use std::any::TypeId;

use boojum::cs::{
    cs_builder::{new_builder, CsBuilder, CsBuilderImpl},
    gates::lookup_marker::LookupFormalGate,
    toolboxes::{
        gate_config::{GateConfigurationHolder, GateTypeEntry},
        static_toolbox::{StaticToolboxHolder, Tool},
    },
    traits::{
        circuit::CircuitBuilder,
        evaluator::{GateConstraintEvaluator, GatePlacementType, PerChunkOffset},
        gate::{Gate as LibraryGate, GatePlacementStrategy},
    },
    CSGeometry, LookupParameters,
};

use super::{
    symbol::{Columns, Recorder, Symbol, Terms},
    Gate, GateSet, Offsets, SpecializedGate, Tape,
};
use crate::{field::F, SetError};

/// The gates of circuit type `C`.
///
/// # Errors
/// [`SetError::Inconsistent`] if a gate cannot be recorded.
pub fn gate_set<C: CircuitBuilder<F>>() -> Result<GateSet, SetError> {
    let geometry = C::geometry();
    let capture = Capture {
        gates: GateSet {
            general: Vec::new(),
            specialized: Vec::new(),
            geometry,
            specialized_variables: 0,
            specialized_witnesses: 0,
            specialized_constants: 0,
        },
        general_evaluators: Vec::new(),
        unsupported: None,
    };
    let builder = C::configure_builder(new_builder::<_, F>(capture));
    let capture = builder.build(());
    match capture.unsupported {
        Some(what) => Err(SetError::Inconsistent(what)),
        None => Ok(capture.gates),
    }
}

/// What a gate type's configuration adds up to.
struct Capture {
    gates: GateSet,
    /// Types of the evaluators in [`GateSet::general`]: gate types may share one.
    general_evaluators: Vec<TypeId>,
    unsupported: Option<String>,
}

fn offsets(from: PerChunkOffset) -> Offsets {
    Offsets {
        variables: from.variables_offset,
        witnesses: from.witnesses_offset,
        constants: from.constants_offset,
    }
}

impl Capture {
    /// Runs an evaluator over symbols.
    fn tape<E: GateConstraintEvaluator<F>>(&mut self, evaluator: &E) -> Tape {
        let mut recorder = Recorder::default();
        let globals = evaluator.create_global_constants::<Symbol>(&mut recorder);
        let shared = evaluator.load_row_shared_constants(&Columns { shared_constants: true }, &mut recorder);
        let mut terms = Terms::default();
        if E::num_quotient_terms() > 0 {
            let columns = Columns { shared_constants: false };
            evaluator.evaluate_once(&columns, &mut terms, &shared, &globals, &mut recorder);
        }
        let what = match (recorder.unsupported, terms.0.len()) {
            (Some(what), _) => Some(what.to_owned()),
            (None, found) if found != E::num_quotient_terms() => {
                Some(format!("{found} terms where {} were announced", E::num_quotient_terms()))
            }
            _ => None,
        };
        if let Some(what) = what {
            self.unsupported = Some(format!("gate {}: {what}", evaluator.instance_name()));
        }
        Tape { ops: recorder.ops, terms: terms.0 }.without_dead_values()
    }

    fn general<E: GateConstraintEvaluator<F>>(&mut self, evaluator: &E) {
        // As in the library: a second gate type with the same evaluator is the same gate.
        let id = TypeId::of::<E>();
        if self.general_evaluators.contains(&id) {
            return;
        }
        self.general_evaluators.push(id);
        let stride = match evaluator.placement_type() {
            GatePlacementType::UniqueOnRow => Offsets::default(),
            GatePlacementType::MultipleOnRow { per_chunk_offset } => offsets(per_chunk_offset),
        };
        let tape = self.tape(evaluator);
        let repetitions = evaluator.num_repetitions_in_geometry(&self.gates.geometry);
        self.gates.general.push(Gate { name: evaluator.instance_name(), repetitions, stride, tape });
    }

    fn specialized<E: GateConstraintEvaluator<F>>(
        &mut self,
        evaluator: &E,
        repetitions: usize,
        share_constants: bool,
        is_lookup: bool,
    ) {
        let width = evaluator.instance_width();
        let start = Offsets {
            variables: self.gates.geometry.num_columns_under_copy_permutation
                + self.gates.specialized_variables,
            witnesses: self.gates.geometry.num_witness_columns + self.gates.specialized_witnesses,
            constants: self.gates.specialized_constants,
        };
        let stride = Offsets {
            variables: width.num_variables,
            witnesses: width.num_witnesses,
            constants: if share_constants { 0 } else { width.num_constants },
        };
        // The library reserves room for one repetition at least.
        let room = repetitions.max(1);
        self.gates.specialized_variables += width.num_variables * room;
        self.gates.specialized_witnesses += width.num_witnesses * room;
        self.gates.specialized_constants += width.num_constants + stride.constants * (room - 1);
        let tape = self.tape(evaluator);
        let gate = Gate { name: evaluator.instance_name(), repetitions, stride, tape };
        self.gates.specialized.push(SpecializedGate { gate, start, is_lookup });
    }
}

impl CsBuilderImpl<F, Self> for Capture {
    type Final<GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder> = Self;
    type BuildParams<'a> = ();
    type GcWithLookup<GC: GateConfigurationHolder<F>> = (GateTypeEntry<F, LookupFormalGate, ()>, GC);

    fn parameters<GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: &CsBuilder<Self, F, GC, TB>,
    ) -> CSGeometry {
        builder.implementation.gates.geometry
    }

    fn allow_gate<
        GC: GateConfigurationHolder<F>,
        TB: StaticToolboxHolder,
        G: LibraryGate<F>,
        TAux: 'static + Send + Sync + Clone,
    >(
        builder: CsBuilder<Self, F, GC, TB>,
        placement_strategy: GatePlacementStrategy,
        params: <G::Evaluator as GateConstraintEvaluator<F>>::UniqueParameterizationParams,
        aux_data: TAux,
    ) -> CsBuilder<Self, F, (GateTypeEntry<F, G, TAux>, GC), TB> {
        let CsBuilder { phantom, mut implementation, gates_config, toolbox } = builder;
        let evaluator = G::Evaluator::new_from_parameters(params.clone());
        match placement_strategy {
            GatePlacementStrategy::UseGeneralPurposeColumns => implementation.general(&evaluator),
            GatePlacementStrategy::UseSpecializedColumns { num_repetitions, share_constants } => {
                let is_lookup = TypeId::of::<G>() == TypeId::of::<LookupFormalGate>();
                implementation.specialized(&evaluator, num_repetitions, share_constants, is_lookup);
            }
        }
        let gates_config = gates_config.add_gate::<G, _>(placement_strategy, params, aux_data);
        CsBuilder { phantom, implementation, gates_config, toolbox }
    }

    fn add_tool<
        GC: GateConfigurationHolder<F>,
        TB: StaticToolboxHolder,
        M: 'static + Send + Sync + Clone,
        T: 'static + Send + Sync,
    >(
        builder: CsBuilder<Self, F, GC, TB>,
        tool: T,
    ) -> CsBuilder<Self, F, GC, (Tool<M, T>, TB)> {
        let CsBuilder { phantom, implementation, gates_config, toolbox } = builder;
        CsBuilder { phantom, implementation, gates_config, toolbox: toolbox.add_tool(tool) }
    }

    fn allow_lookup<GC: GateConfigurationHolder<F>, TB: StaticToolboxHolder>(
        builder: CsBuilder<Self, F, GC, TB>,
        lookup_parameters: LookupParameters,
    ) -> CsBuilder<Self, F, Self::GcWithLookup<GC>, TB> {
        let general = GatePlacementStrategy::UseGeneralPurposeColumns;
        let own = |num_repetitions, share_constants| GatePlacementStrategy::UseSpecializedColumns {
            num_repetitions,
            share_constants,
        };
        // Variables and constants of one lookup: the table id is either.
        let (strategy, variables, constants, share) = match lookup_parameters {
            LookupParameters::NoLookup => (own(0, false), 0, 0, false),
            LookupParameters::TableIdAsVariable { width, share_table_id } => {
                (general, width + 1, 0, share_table_id)
            }
            LookupParameters::TableIdAsConstant { width, share_table_id } => {
                (general, width, 1, share_table_id)
            }
            LookupParameters::UseSpecializedColumnsWithTableIdAsVariable {
                width,
                num_repetitions,
                share_table_id,
            } => (own(num_repetitions, false), width + 1, 0, share_table_id),
            LookupParameters::UseSpecializedColumnsWithTableIdAsConstant {
                width,
                num_repetitions,
                share_table_id,
            } => (own(num_repetitions, share_table_id), width, 1, share_table_id),
        };
        Self::allow_gate(builder, strategy, (variables as usize, constants, share), ())
    }

    fn build<
        'a,
        GC: GateConfigurationHolder<F>,
        TB: StaticToolboxHolder,
        ARG: Into<Self::BuildParams<'a>>,
    >(
        builder: CsBuilder<Self, F, GC, TB>,
        _: ARG,
    ) -> Self {
        builder.implementation
    }
}
