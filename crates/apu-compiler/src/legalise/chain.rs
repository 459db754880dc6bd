//! Operators on plain numbers that take several records: the steps of TFLite's plain kernels, in their order,
//! since each of them rounds.

use apu_kernels::{cast, elementwise, float_function, reduce, select};
use apu_proto::program::{
    Cast, DType, Elementwise, FloatFunction, Function, OP_RANK, Reduce, Reduction, Rounding,
    Select, opcode,
};
use zerocopy::IntoBytes;

use super::{Operand, Record, elementwise::strides, record, six, size};
use crate::{
    constants,
    constraints::{LIMITS, Refusal, Site},
    graph::{Element, Opcode, Options},
};

/// What one step hands to the next.
#[derive(Clone)]
struct Value {
    operand: Operand,
    dtype: DType,
    shape: Vec<u32>,
}

impl Value {
    fn input(site: &Site, index: usize) -> Result<Self, Refusal> {
        let tensor = site.need_input(index)?;
        Ok(Self {
            operand: Operand::Read(site.input_id(index)?),
            dtype: stored(tensor.element)?,
            shape: tensor.shape.clone(),
        })
    }

    fn output(site: &Site) -> Result<Self, Refusal> {
        let tensor = site.need_output()?;
        Ok(Self {
            operand: Operand::Write(site.output_id()?),
            dtype: stored(tensor.element)?,
            shape: tensor.shape.clone(),
        })
    }

    /// One number for all elements.
    fn constant(dtype: DType, number: &impl ToNumber) -> Self {
        Self {
            operand: Operand::Packed(number.stored()),
            dtype,
            shape: Vec::new(),
        }
    }

    fn real(number: f32) -> Self {
        Self::constant(DType::Float32, &number)
    }

    fn bytes(&self) -> u64 {
        let count: u64 = self.shape.iter().map(|&n| u64::from(n)).product();
        count * self.dtype.size() as u64
    }

    fn count(&self) -> Result<u32, Refusal> {
        size("elements", self.bytes() / self.dtype.size() as u64)
    }
}

/// A number that is stored as an element.
trait ToNumber {
    fn stored(&self) -> Vec<u8>;
}

impl ToNumber for f32 {
    fn stored(&self) -> Vec<u8> {
        self.to_le_bytes().into()
    }
}

impl ToNumber for i64 {
    fn stored(&self) -> Vec<u8> {
        self.to_le_bytes().into()
    }
}

fn stored(element: Element) -> Result<DType, Refusal> {
    let unknown = || LIMITS.refuse(element.name());
    element.dtype().ok_or_else(unknown)
}

/// The records so far.
struct Chain<'s> {
    site: &'s Site<'s>,
    records: Vec<Record>,
    temporaries: usize,
}

impl<'s> Chain<'s> {
    fn new(site: &'s Site<'s>) -> Self {
        Self {
            site,
            records: Vec::new(),
            temporaries: 0,
        }
    }

    /// Memory for a value in between.
    fn between(&mut self, dtype: DType, shape: &[u32]) -> Value {
        let mut value = Value {
            operand: Operand::Packed(Vec::new()),
            dtype,
            shape: shape.into(),
        };
        value.operand = Operand::Temporary {
            index: self.temporaries,
            size: value.bytes(),
        };
        self.temporaries += 1;
        value
    }

    fn push(
        &mut self,
        opcode: u32,
        params: &(impl IntoBytes + zerocopy::Immutable),
        sizes: Result<apu_kernels::Sizes, apu_kernels::Error>,
        operands: &[&Value],
    ) -> Result<(), Refusal> {
        let operands = operands.iter().map(|value| value.operand.clone());
        self.records
            .push(record(self.site, opcode, params, sizes, operands, 0)?);
        Ok(())
    }

    /// A function of two values that broadcast, clamped to the bounds if there are some.
    fn apply(
        &mut self,
        function: u32,
        [a, b]: [&Value; 2],
        bounds: Option<(f32, f32)>,
        to: &Value,
    ) -> Result<(), Refusal> {
        let is_float = a.dtype == DType::Float32;
        let (clamp_min, clamp_max) = match (bounds, is_float) {
            (Some((least, largest)), _) => (bits(least), bits(largest)),
            (None, true) => (bits(f32::NEG_INFINITY), bits(f32::INFINITY)),
            (None, false) => (i32::MIN, i32::MAX),
        };
        let params = Elementwise {
            function,
            dtype: a.dtype as u32,
            a_zero_point: 0,
            b_zero_point: 0,
            output_zero_point: 0,
            left_shift: 0,
            a_multiplier: 0,
            a_shift: 0,
            b_multiplier: 0,
            b_shift: 0,
            output_multiplier: 0,
            output_shift: 0,
            clamp_min,
            clamp_max,
            shape: six(&to.shape)?,
            a_stride: strides(&a.shape)?,
            b_stride: strides(&b.shape)?,
            rounding: Rounding::AWAY,
        };
        let sizes = elementwise::sizes(&params);
        self.push(opcode::ELEMENTWISE, &params, sizes, &[a, b, to])
    }

    /// The sum along some dimensions, one element after the other.
    fn sum(&mut self, a: &Value, axes: &[usize], to: &Value) -> Result<(), Refusal> {
        let leading = OP_RANK.saturating_sub(a.shape.len());
        let params = Reduce {
            function: Reduction::SUM,
            dtype: a.dtype as u32,
            reduced: axes
                .iter()
                .fold(0, |bits, axis| bits | 1 << (axis + leading)),
            in_shape: six(&a.shape)?,
        };
        self.push(opcode::REDUCE, &params, reduce::sizes(&params), &[a, to])
    }

    fn cast(&mut self, a: &Value, to: &Value) -> Result<(), Refusal> {
        let params = Cast {
            input_dtype: a.dtype as u32,
            output_dtype: to.dtype as u32,
            count: a.count()?,
        };
        self.push(opcode::CAST, &params, cast::sizes(&params), &[a, to])
    }

    /// The value in another type, in memory of its own.
    fn cast_to(&mut self, dtype: DType, a: &Value) -> Result<Value, Refusal> {
        let to = self.between(dtype, &a.shape);
        self.cast(a, &to)?;
        Ok(to)
    }

    fn function(&mut self, function: u32, a: &Value, to: &Value) -> Result<(), Refusal> {
        let params = FloatFunction {
            function,
            count: a.count()?,
        };
        let sizes = float_function::sizes(&params);
        self.push(opcode::FLOAT_FUNCTION, &params, sizes, &[a, to])
    }
}

fn bits(bound: f32) -> i32 {
    bound.to_bits().cast_signed()
}

/// MEAN: a sum that is divided by the count; integers are summed in 64 bits.
pub(super) fn mean(site: &Site) -> Result<Vec<Record>, Refusal> {
    let (input, output) = (Value::input(site, 0)?, Value::output(site)?);
    let axes = constants::axes(site.need_input(1)?, input.shape.len())
        .ok_or_else(|| LIMITS.refuse("unknown axes"))?;
    let count = site.need_input(0)?.count() / site.need_output()?.count().max(1);
    let mut chain = Chain::new(site);
    if input.dtype == DType::Float32 {
        let sum = chain.between(DType::Float32, &output.shape);
        chain.sum(&input, &axes, &sum)?;
        let count = Value::real(count as f32);
        chain.apply(Function::DIV, [&sum, &count], None, &output)?;
        return Ok(chain.records);
    }
    let input = match input.dtype {
        DType::Int64 => input,
        _ => chain.cast_to(DType::Int64, &input)?,
    };
    let sum = chain.between(DType::Int64, &output.shape);
    chain.sum(&input, &axes, &sum)?;
    let count = Value::constant(DType::Int64, &size::<u64, i64>("elements", count)?);
    if output.dtype == DType::Int64 {
        chain.apply(Function::DIV, [&sum, &count], None, &output)?;
    } else {
        let mean = chain.between(DType::Int64, &output.shape);
        chain.apply(Function::DIV, [&sum, &count], None, &mean)?;
        chain.cast(&mean, &output)?;
    }
    Ok(chain.records)
}

/// The least length that L2_NORMALIZATION divides by.
const LEAST_LENGTH: f32 = 1e-6;

/// L2_NORMALIZATION: each row divided by the root of its sum of squares.
pub(super) fn l2_normalization(site: &Site) -> Result<Vec<Record>, Refusal> {
    let (input, output) = (Value::input(site, 0)?, Value::output(site)?);
    let mut rows = input.shape.clone();
    let last = rows.len().saturating_sub(1);
    if let Some(columns) = rows.last_mut() {
        *columns = 1;
    }
    let mut chain = Chain::new(site);
    let squares = chain.between(DType::Float32, &input.shape);
    chain.apply(Function::MUL, [&input, &input], None, &squares)?;
    let [sum, length, divisor] = [0; 3].map(|_| chain.between(DType::Float32, &rows));
    chain.sum(&squares, &[last], &sum)?;
    chain.function(FloatFunction::SQRT, &sum, &length)?;
    let least = Value::real(LEAST_LENGTH);
    chain.apply(Function::MAXIMUM, [&length, &least], None, &divisor)?;
    chain.apply(Function::DIV, [&input, &divisor], None, &output)?;
    Ok(chain.records)
}

/// HARD_SWISH: `x · min(max(x + 3, 0), 6) / 6`.
pub(super) fn hard_swish(site: &Site) -> Result<Vec<Record>, Refusal> {
    let (input, output) = (Value::input(site, 0)?, Value::output(site)?);
    let mut chain = Chain::new(site);
    let [weight, product] = [0; 2].map(|_| chain.between(DType::Float32, &input.shape));
    let three = Value::real(3.0);
    chain.apply(Function::ADD, [&input, &three], Some((0.0, 6.0)), &weight)?;
    chain.apply(Function::MUL, [&input, &weight], None, &product)?;
    chain.apply(Function::DIV, [&product, &Value::real(6.0)], None, &output)?;
    Ok(chain.records)
}

/// LEAKY_RELU: `x` above 0, else `x · alpha`, zeros too.
pub(super) fn leaky_relu(site: &Site) -> Result<Vec<Record>, Refusal> {
    let Options::LeakyRelu { alpha } = site.operator.options else {
        return Err(LIMITS.refuse("no alpha"));
    };
    let (input, output) = (Value::input(site, 0)?, Value::output(site)?);
    let mut chain = Chain::new(site);
    let is_above = chain.between(DType::Bool, &input.shape);
    let below = chain.between(DType::Float32, &input.shape);
    chain.apply(
        Function::GREATER,
        [&input, &Value::real(0.0)],
        None,
        &is_above,
    )?;
    chain.apply(Function::MUL, [&input, &Value::real(alpha)], None, &below)?;
    let params = Select {
        element_size: DType::Float32.size() as u32,
        shape: six(&output.shape)?,
        broadcast: [0; 3],
    };
    let sizes = select::sizes(&params);
    chain.push(
        opcode::SELECT,
        &params,
        sizes,
        &[&is_above, &input, &below, &output],
    )?;
    Ok(chain.records)
}

/// ABS of int32: the larger of a number and its negative.
pub(super) fn abs(site: &Site) -> Result<Vec<Record>, Refusal> {
    let (input, output) = (Value::input(site, 0)?, Value::output(site)?);
    let mut chain = Chain::new(site);
    let negative = chain.between(input.dtype, &input.shape);
    let zero = Value {
        operand: Operand::Packed(vec![0; input.dtype.size()]),
        dtype: input.dtype,
        shape: Vec::new(),
    };
    chain.apply(Function::SUB, [&zero, &input], None, &negative)?;
    chain.apply(Function::MAXIMUM, [&input, &negative], None, &output)?;
    Ok(chain.records)
}

/// FLOOR_DIV and FLOOR_MOD of int8 and int16, whose numbers are what is stored.
pub(super) fn narrow(site: &Site) -> Result<Vec<Record>, Refusal> {
    let output = Value::output(site)?;
    let mut chain = Chain::new(site);
    let a = chain.cast_to(DType::Int32, &Value::input(site, 0)?)?;
    let b = chain.cast_to(DType::Int32, &Value::input(site, 1)?)?;
    let function = match site.operator.opcode {
        Opcode::FLOOR_DIV => Function::FLOOR_DIV,
        _ => Function::FLOOR_MOD,
    };
    let result = chain.between(DType::Int32, &output.shape);
    chain.apply(function, [&a, &b], None, &result)?;
    chain.cast(&result, &output)?;
    Ok(chain.records)
}
