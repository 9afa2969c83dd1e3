//! Gates as programs for an interpreter that handles a block of rows at each step: the dispatch is paid once per block,
//! the arithmetic is SIMD.

use ingot_circuit_set::{Offsets, Op, Operand, Tape};
use ingot_field::{Ext, Lanes};

/// Rows handled by one step.
pub const BLOCK: usize = 64;

/// A register: one value for each row of a block.
pub type Register = [u64; BLOCK];

#[derive(Clone, Copy, Debug)]
enum Code {
    Variable,
    Witness,
    Constant,
    SharedConstant,
    Add,
    Sub,
    Mul,
    Double,
    Square,
    Negate,
    Emit,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    code: Code,
    to: u32,
    a: u32,
    b: u32,
}

/// One repetition of a gate.
#[derive(Clone, Debug)]
pub struct Program {
    steps: Vec<Step>,
    registers: usize,
    /// Kept in the registers after [`Self::registers`].
    immediates: Vec<u64>,
    /// Terms a repetition adds.
    pub terms: usize,
    /// Repetitions on a row.
    pub repetitions: usize,
    stride: Offsets,
}

/// Where a program finds its columns, at repetition 0.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// Variable columns, all of the circuit's.
    pub variables: &'a [&'a [u64]],
    /// Witness columns.
    pub witnesses: &'a [&'a [u64]],
    /// Constant columns.
    pub constants: &'a [&'a [u64]],
}

/// Hands out registers, lowest first.
#[derive(Default)]
struct Registers {
    free: Vec<u32>,
    used: u32,
}

impl Registers {
    fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used - 1
        })
    }
}

impl Program {
    /// Compiles `tape`, run `repetitions` times with columns moved on by `stride`.
    pub fn new(tape: &Tape, repetitions: usize, stride: Offsets) -> Self {
        let mut compiler = Compiler::new(tape);
        for index in 0..tape.ops.len() {
            compiler.operation(index);
        }
        // Terms that are no operation's value: columns and constants themselves.
        for (term, operand) in tape.terms.iter().enumerate() {
            if !matches!(operand, Operand::Value(_)) {
                let from = compiler.read(*operand);
                compiler.steps.push(Step { code: Code::Emit, to: term as u32, a: from, b: 0 });
            }
        }
        let Compiler { mut steps, registers, immediates, .. } = compiler;
        let registers = registers.used as usize;
        for step in &mut steps {
            let emit = matches!(step.code, Code::Emit);
            for register in [&mut step.a, &mut step.b] {
                if *register & IMMEDIATE != 0 {
                    *register = (*register & !IMMEDIATE) + registers as u32;
                }
            }
            debug_assert!(emit || (step.to as usize) < registers);
        }
        Self { steps, registers, immediates, terms: tape.terms.len(), repetitions, stride }
    }

    /// Makes `registers` ready for [`Self::run`].
    pub fn prepare(&self, registers: &mut Vec<Register>) {
        registers.resize(self.registers + self.immediates.len(), [0; BLOCK]);
        for (register, &value) in registers[self.registers..].iter_mut().zip(&self.immediates) {
            *register = [value; BLOCK];
        }
    }

    /// Adds Σ `challenges[i]` · term_i of all repetitions to the rows of `sums` from `start` on.
    #[inline(always)]
    pub fn run<L: Lanes>(
        &self,
        base: &Base<'_>,
        start: usize,
        challenges: &[Ext],
        registers: &mut [Register],
        sums: [&mut Register; 2],
    ) {
        let [sum0, sum1] = sums;
        for repetition in 0..self.repetitions {
            let challenges = &challenges[repetition * self.terms..];
            for step in &self.steps {
                let (to, a, b) = (step.to as usize, step.a as usize, step.b as usize);
                macro_rules! each {
                    (|$x:ident| $result:expr) => {
                        for i in (0..BLOCK).step_by(L::N) {
                            let $x = L::load(&registers[a][i..]);
                            $result.store(&mut registers[to][i..]);
                        }
                    };
                    (|$x:ident, $y:ident| $result:expr) => {
                        for i in (0..BLOCK).step_by(L::N) {
                            let ($x, $y) = (L::load(&registers[a][i..]), L::load(&registers[b][i..]));
                            $result.store(&mut registers[to][i..]);
                        }
                    };
                }
                match step.code {
                    Code::Variable => {
                        let column = base.variables[a + repetition * self.stride.variables];
                        registers[to].copy_from_slice(&column[start..start + BLOCK]);
                    }
                    Code::Witness => {
                        let column = base.witnesses[a + repetition * self.stride.witnesses];
                        registers[to].copy_from_slice(&column[start..start + BLOCK]);
                    }
                    Code::Constant => {
                        let column = base.constants[a + repetition * self.stride.constants];
                        registers[to].copy_from_slice(&column[start..start + BLOCK]);
                    }
                    Code::SharedConstant => {
                        registers[to].copy_from_slice(&base.constants[a][start..start + BLOCK]);
                    }
                    Code::Add => each!(|x, y| x.add(y)),
                    Code::Sub => each!(|x, y| x.sub(y)),
                    Code::Mul => each!(|x, y| x.mul(y)),
                    Code::Double => each!(|x| x.add(x)),
                    Code::Square => each!(|x| x.square()),
                    Code::Negate => each!(|x| L::splat(0).sub(x)),
                    Code::Emit => {
                        let [c0, c1] = challenges[to].0.map(L::splat);
                        for i in (0..BLOCK).step_by(L::N) {
                            let x = L::load(&registers[a][i..]);
                            L::load(&sum0[i..]).add(x.mul(c0)).store(&mut sum0[i..]);
                            L::load(&sum1[i..]).add(x.mul(c1)).store(&mut sum1[i..]);
                        }
                    }
                }
            }
        }
    }
}

/// Marks an operand that is an immediate, until the number of registers is known.
const IMMEDIATE: u32 = 1 << 31;

struct Compiler<'a> {
    tape: &'a Tape,
    steps: Vec<Step>,
    registers: Registers,
    immediates: Vec<u64>,
    /// Register of each operation's value.
    values: Vec<u32>,
    /// Last operation that reads a value; 0 if none does.
    last_read: Vec<usize>,
    /// Terms that are an operation's value.
    terms: Vec<Vec<u32>>,
    /// Loaded columns with their register and last reader.
    loaded: Vec<(Operand, u32, usize)>,
}

impl<'a> Compiler<'a> {
    fn new(tape: &'a Tape) -> Self {
        let count = tape.ops.len();
        let mut this = Self {
            tape,
            steps: Vec::new(),
            registers: Registers::default(),
            immediates: Vec::new(),
            values: vec![0; count],
            last_read: vec![0; count],
            terms: vec![Vec::new(); count],
            loaded: Vec::new(),
        };
        for (index, &op) in tape.ops.iter().enumerate() {
            let (a, b) = op.operands();
            for operand in [Some(a), b].into_iter().flatten() {
                if let Operand::Value(value) = operand {
                    this.last_read[value as usize] = index;
                }
            }
        }
        for (term, operand) in tape.terms.iter().enumerate() {
            if let Operand::Value(value) = operand {
                this.terms[*value as usize].push(term as u32);
            }
        }
        this
    }

    /// The register that holds `operand`.
    fn read(&mut self, operand: Operand) -> u32 {
        let (code, column) = match operand {
            Operand::Value(value) => return self.values[value as usize],
            Operand::Immediate(value) => {
                let value = ingot_field::canonical(value.0);
                let index = self.immediates.iter().position(|&v| v == value).unwrap_or_else(|| {
                    self.immediates.push(value);
                    self.immediates.len() - 1
                });
                return IMMEDIATE | index as u32;
            }
            Operand::Variable(column) => (Code::Variable, column),
            Operand::Witness(column) => (Code::Witness, column),
            Operand::Constant(column) => (Code::Constant, column),
            Operand::SharedConstant(column) => (Code::SharedConstant, column),
        };
        if let Some((_, register, _)) = self.loaded.iter().find(|(loaded, ..)| *loaded == operand) {
            return *register;
        }
        let to = self.registers.take();
        self.steps.push(Step { code, to, a: column, b: 0 });
        let reads = |op: &Op| {
            let (a, b) = op.operands();
            a == operand || b == Some(operand)
        };
        // A term that is the column itself is emitted at the end.
        let last = match self.tape.terms.contains(&operand) {
            true => usize::MAX,
            false => self.tape.ops.iter().rposition(reads).unwrap_or(0),
        };
        self.loaded.push((operand, to, last));
        to
    }

    fn operation(&mut self, index: usize) {
        let op = self.tape.ops[index];
        let (left, right) = op.operands();
        let a = self.read(left);
        let b = right.map_or(0, |operand| self.read(operand));
        for operand in [Some(left), right].into_iter().flatten() {
            if let Operand::Value(value) = operand {
                let register = self.values[value as usize];
                if self.last_read[value as usize] == index && !self.registers.free.contains(&register) {
                    self.registers.free.push(register);
                }
            }
        }
        let free = &mut self.registers.free;
        self.loaded.retain(|(_, register, last)| {
            let keep = *last > index;
            if !keep {
                free.push(*register);
            }
            keep
        });
        let code = match op {
            Op::Add(..) => Code::Add,
            Op::Sub(..) => Code::Sub,
            Op::Mul(..) => Code::Mul,
            Op::Double(_) => Code::Double,
            Op::Square(_) => Code::Square,
            Op::Negate(_) => Code::Negate,
        };
        // The result may take an operand's register: each step reads a row before it writes it.
        let to = self.registers.take();
        self.values[index] = to;
        self.steps.push(Step { code, to, a, b });
        for &term in &self.terms[index] {
            self.steps.push(Step { code: Code::Emit, to: term, a: to, b: 0 });
        }
        if self.last_read[index] == 0 {
            self.registers.free.push(to);
        }
    }
}
