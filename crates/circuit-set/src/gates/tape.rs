//! Straight-line programs over field elements.

use boojum::field::{traits::representation::U64Representable, Field};

use crate::field::F;

/// What an operation reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A variable column, moved on by each repetition.
    Variable(u32),
    /// A witness column, moved on by each repetition.
    Witness(u32),
    /// A constant column, moved on by each repetition.
    Constant(u32),
    /// A constant column that all repetitions share: the proof library reads those once a row.
    SharedConstant(u32),
    /// A number.
    Immediate(F),
    /// The result of an operation before.
    Value(u32),
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// a + b.
    Add(Operand, Operand),
    /// a − b.
    Sub(Operand, Operand),
    /// a · b.
    Mul(Operand, Operand),
    /// 2 a.
    Double(Operand),
    /// a².
    Square(Operand),
    /// −a.
    Negate(Operand),
}

impl Op {
    /// What it reads.
    pub fn operands(self) -> (Operand, Option<Operand>) {
        match self {
            Self::Add(a, b) | Self::Sub(a, b) | Self::Mul(a, b) => (a, Some(b)),
            Self::Double(a) | Self::Square(a) | Self::Negate(a) => (a, None),
        }
    }

    /// The same with other operands.
    fn map(self, mut f: impl FnMut(Operand) -> Operand) -> Self {
        match self {
            Self::Add(a, b) => Self::Add(f(a), f(b)),
            Self::Sub(a, b) => Self::Sub(f(a), f(b)),
            Self::Mul(a, b) => Self::Mul(f(a), f(b)),
            Self::Double(a) => Self::Double(f(a)),
            Self::Square(a) => Self::Square(f(a)),
            Self::Negate(a) => Self::Negate(f(a)),
        }
    }

    /// Its result for given operands.
    pub fn apply(self, mut read: impl FnMut(Operand) -> F) -> F {
        let (a, b) = self.operands();
        let mut result = read(a);
        let b = b.map(read);
        match (self, b) {
            (Self::Add(..), Some(b)) => result.add_assign(&b),
            (Self::Sub(..), Some(b)) => result.sub_assign(&b),
            (Self::Mul(..), Some(b)) => result.mul_assign(&b),
            (Self::Double(_), _) => result.double(),
            (Self::Square(_), _) => result.square(),
            _ => result.negate(),
        };
        result
    }
}

/// A program: operations in order, and which operands are terms that must vanish.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tape {
    /// Operations; each reads only values before it.
    pub ops: Vec<Op>,
    /// Terms in the order in which they get powers of α.
    pub terms: Vec<Operand>,
}

impl Tape {
    /// The terms on one row: the oracle for every faster way.
    ///
    /// # Panics
    /// If a column that the tape reads is not given.
    pub fn evaluate(&self, variables: &[F], witnesses: &[F], constants: &[F], shared: &[F]) -> Vec<F> {
        let mut values: Vec<F> = Vec::with_capacity(self.ops.len());
        let read = |values: &[F], operand| match operand {
            Operand::Variable(column) => variables[column as usize],
            Operand::Witness(column) => witnesses[column as usize],
            Operand::Constant(column) => constants[column as usize],
            Operand::SharedConstant(column) => shared[column as usize],
            Operand::Immediate(value) => value,
            Operand::Value(value) => values[value as usize],
        };
        for op in &self.ops {
            let value = op.apply(|operand| read(&values, operand));
            values.push(value);
        }
        self.terms.iter().map(|&term| read(&values, term)).collect()
    }

    /// The same program without the values that no term needs.
    pub fn without_dead_values(self) -> Self {
        let mut needed = vec![false; self.ops.len()];
        let mark = |needed: &mut Vec<bool>, operand| {
            if let Operand::Value(value) = operand {
                needed[value as usize] = true;
            }
        };
        for &term in &self.terms {
            mark(&mut needed, term);
        }
        for index in (0..self.ops.len()).rev() {
            if needed[index] {
                let (a, b) = self.ops[index].operands();
                mark(&mut needed, a);
                b.into_iter().for_each(|b| mark(&mut needed, b));
            }
        }
        let mut renamed = vec![0; self.ops.len()];
        let rename = |renamed: &[u32], operand| match operand {
            Operand::Value(value) => Operand::Value(renamed[value as usize]),
            other => other,
        };
        let mut ops = Vec::new();
        for (index, op) in self.ops.iter().enumerate().filter(|(index, _)| needed[*index]) {
            renamed[index] = ops.len() as u32;
            ops.push(op.map(|operand| rename(&renamed, operand)));
        }
        let terms = self.terms.iter().map(|&term| rename(&renamed, term)).collect();
        Self { ops, terms }
    }
}

/// The operand that `op` is without computing, if there is one: a constant, or one of its operands.
pub(super) fn folded(op: Op) -> Option<Operand> {
    let number = |operand| match operand {
        Operand::Immediate(value) => Some(value.as_u64_reduced()),
        _ => None,
    };
    let (a, b) = op.operands();
    if number(a).is_some() && b.is_none_or(|b| number(b).is_some()) {
        let value = op.apply(|operand| match operand {
            Operand::Immediate(value) => value,
            _ => F::ZERO,
        });
        return Some(Operand::Immediate(F::from_u64_unchecked(value.as_u64_reduced())));
    }
    match (op, number(a), b.and_then(number)) {
        (Op::Add(_, b), Some(0), _) => Some(b),
        (Op::Add(a, _) | Op::Sub(a, _), _, Some(0)) => Some(a),
        (Op::Mul(_, b), Some(1), _) => Some(b),
        (Op::Mul(a, _), _, Some(1)) => Some(a),
        (Op::Mul(..), Some(0), _) | (Op::Mul(..), _, Some(0)) => Some(Operand::Immediate(F::ZERO)),
        _ => None,
    }
}
