//! The field that gates are recorded over: every operation leaves a line on the tape.

use std::{collections::HashMap, fmt};

use boojum::{
    cs::traits::{destination_view::EvaluationDestination, trace_source::TraceSource, GoodAllocator},
    field::{traits::field_like::PrimeFieldLike, Field},
};

use super::tape::{folded, Op, Operand};
use crate::field::F;

/// Operations recorded so far. Equal operations are recorded once.
#[derive(Debug, Default)]
pub struct Recorder {
    pub ops: Vec<Op>,
    seen: HashMap<Op, u32>,
    /// Set by what no tape can hold.
    pub unsupported: Option<&'static str>,
}

impl Recorder {
    fn record(&mut self, op: Op) -> Operand {
        if let Some(operand) = folded(op) {
            return operand;
        }
        let next = self.ops.len() as u32;
        let index = *self.seen.entry(op).or_insert(next);
        if index == next {
            self.ops.push(op);
        }
        Operand::Value(index)
    }
}

/// A symbolic field element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Symbol(pub Operand);

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl PrimeFieldLike for Symbol {
    type Base = F;
    type Context = Recorder;

    fn zero(_: &mut Recorder) -> Self {
        Self(Operand::Immediate(F::ZERO))
    }

    fn one(_: &mut Recorder) -> Self {
        Self(Operand::Immediate(F::ONE))
    }

    fn minus_one(_: &mut Recorder) -> Self {
        Self(Operand::Immediate(F::MINUS_ONE))
    }

    fn add_assign(&mut self, other: &Self, recorder: &mut Recorder) -> &mut Self {
        self.0 = recorder.record(Op::Add(self.0, other.0));
        self
    }

    fn sub_assign(&mut self, other: &Self, recorder: &mut Recorder) -> &mut Self {
        self.0 = recorder.record(Op::Sub(self.0, other.0));
        self
    }

    fn mul_assign(&mut self, other: &Self, recorder: &mut Recorder) -> &mut Self {
        self.0 = match self.0 == other.0 {
            true => recorder.record(Op::Square(self.0)),
            false => recorder.record(Op::Mul(self.0, other.0)),
        };
        self
    }

    fn square(&mut self, recorder: &mut Recorder) -> &mut Self {
        self.0 = recorder.record(Op::Square(self.0));
        self
    }

    fn negate(&mut self, recorder: &mut Recorder) -> &mut Self {
        self.0 = recorder.record(Op::Negate(self.0));
        self
    }

    fn double(&mut self, recorder: &mut Recorder) -> &mut Self {
        self.0 = recorder.record(Op::Double(self.0));
        self
    }

    fn inverse(&self, recorder: &mut Recorder) -> Self {
        recorder.unsupported = Some("an inverse in a constraint");
        *self
    }

    fn constant(value: F, _: &mut Recorder) -> Self {
        Self(Operand::Immediate(value))
    }
}

/// The columns of a repetition. Constants that are read once a row are told apart.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    pub shared_constants: bool,
}

impl TraceSource<F, Symbol> for Columns {
    fn get_variable_value(&self, column: usize) -> Symbol {
        Symbol(Operand::Variable(column as u32))
    }

    fn get_constant_value(&self, column: usize) -> Symbol {
        Symbol(match self.shared_constants {
            true => Operand::SharedConstant(column as u32),
            false => Operand::Constant(column as u32),
        })
    }

    fn get_witness_value(&self, column: usize) -> Symbol {
        Symbol(Operand::Witness(column as u32))
    }

    fn dump_current_row<A: GoodAllocator>(&self, _: &mut Vec<Symbol, A>) {}
}

/// Where a gate's terms go.
#[derive(Debug, Default)]
pub struct Terms(pub Vec<Operand>);

impl EvaluationDestination<F, Symbol> for Terms {
    fn push_evaluation_result(&mut self, value: Symbol, _: &mut Recorder) {
        self.0.push(value.0);
    }
}
