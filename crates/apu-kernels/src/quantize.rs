//! QUANTIZE: float32 to bytes or int16, or these and int32 of one quantisation to those of another.

use crate::{
    Error, Isa, Sizes,
    byte::{Byte, Clamp},
    isa::Kernel,
    limits::{bytes, exactly, within},
    requant::{Rescale, is_even, round_away, round_even},
};
use apu_proto::program::{self, DType};

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
struct Quantize {
    source: Source,
    output_zero_point: i32,
    clamp: Clamp,
    target: Target,
    sizes: Sizes,
}

/// The type that results are stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Byte,
    Word,
    Long,
}

/// What is quantised.
#[derive(Clone, Copy, Debug)]
enum Source {
    Float {
        scale: f32,
    },
    /// With the inverse of the scale, ties to even.
    FloatEven {
        inverse: f32,
    },
    Bytes {
        byte: Byte,
        zero_point: i32,
        rescale: Rescale,
    },
    /// int16.
    Words {
        zero_point: i32,
        rescale: Rescale,
    },
    /// int32.
    Longs {
        zero_point: i32,
        rescale: Rescale,
    },
}

impl Quantize {
    fn new(p: &program::Quantize) -> Result<Self, Error> {
        let (target, clamp) = match DType::from_raw(p.output_dtype) {
            Some(DType::Int32) => {
                let (min, max) = (i32::MIN, i32::MAX);
                (Target::Long, Clamp { min, max })
            }
            Some(DType::Int16) => {
                within("output_zero_point", p.output_zero_point, 0, 0)?;
                let (min, max) = (i16::MIN.into(), i16::MAX.into());
                (Target::Word, Clamp { min, max })
            }
            _ => {
                let output = Byte::new("output_dtype", p.output_dtype)?;
                output.zero_point("output_zero_point", p.output_zero_point)?;
                (Target::Byte, Clamp::whole(output))
            }
        };
        let (source, element) = if DType::from_raw(p.input_dtype) == Some(DType::Float32) {
            let scale = scale(p.scale)?;
            let source = match is_even(p.rounding)? {
                true => Source::FloatEven {
                    inverse: 1.0 / scale,
                },
                false => Source::Float { scale },
            };
            (source, 4)
        } else if DType::from_raw(p.input_dtype) == Some(DType::Int16) {
            let (least, largest) = match target {
                Target::Word => (0, 0),
                _ => (i16::MIN.into(), i16::MAX.into()),
            };
            within("input_zero_point", p.input_zero_point, least, largest)?;
            let rescale = Rescale::new(["multiplier", "shift"], p.multiplier, p.shift)?;
            let zero_point = p.input_zero_point;
            (
                Source::Words {
                    zero_point,
                    rescale,
                },
                2,
            )
        } else if DType::from_raw(p.input_dtype) == Some(DType::Int32) {
            let rescale = Rescale::new(["multiplier", "shift"], p.multiplier, p.shift)?;
            let zero_point = p.input_zero_point;
            (
                Source::Longs {
                    zero_point,
                    rescale,
                },
                4,
            )
        } else {
            (Source::bytes(p)?, 1)
        };
        Ok(Self {
            source,
            output_zero_point: p.output_zero_point,
            clamp,
            target,
            sizes: Sizes::new([
                bytes("input", &[p.count, element])?,
                bytes("output", &[p.count, target.size()])?,
            ]),
        })
    }

    #[inline(always)]
    fn store(&self, values: impl Iterator<Item = i32>, output: &mut [u8]) {
        match self.target {
            Target::Byte => {
                for (out, value) in output.iter_mut().zip(values) {
                    *out = self.clamp.store(value);
                }
            }
            Target::Word => {
                for (out, value) in output.as_chunks_mut().0.iter_mut().zip(values) {
                    *out = (value.clamp(self.clamp.min, self.clamp.max) as i16).to_le_bytes();
                }
            }
            Target::Long => {
                for (out, value) in output.as_chunks_mut().0.iter_mut().zip(values) {
                    *out = value.to_le_bytes();
                }
            }
        }
    }
}

impl Target {
    fn size(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Word => 2,
            Self::Long => 4,
        }
    }
}

impl Source {
    fn bytes(p: &program::Quantize) -> Result<Self, Error> {
        let byte = Byte::new("input_dtype", p.input_dtype).map_err(|_| Error::Type {
            field: "input_dtype",
            got: p.input_dtype,
            allowed: "float32 (6), int8 (1), uint8 (2), int16 (3) or int32 (4)",
        })?;
        byte.zero_point("input_zero_point", p.input_zero_point)?;
        let rescale = Rescale::new(["multiplier", "shift"], p.multiplier, p.shift)?;
        Ok(Self::Bytes {
            byte,
            zero_point: p.input_zero_point,
            rescale,
        })
    }
}

/// The scale with these bits: positive and finite.
fn scale(bits: u32) -> Result<f32, Error> {
    within(
        "scale (bits of an f32)",
        bits,
        1,
        (f32::INFINITY.to_bits() - 1).into(),
    )?;
    Ok(f32::from_bits(bits))
}

/// The sizes of input and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::Quantize) -> Result<Sizes, Error> {
    Ok(Quantize::new(params)?.sizes)
}

/// Computes `output` from `input`, bytes or little-endian.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    isa: Isa,
    params: &program::Quantize,
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let quantize = Quantize::new(params)?;
    let &[input_size, output_size] = quantize.sizes.as_slice() else {
        unreachable!("a quantisation has two operands");
    };
    exactly("input", input, input_size)?;
    exactly("output", output, output_size)?;
    isa.run(Elements {
        quantize,
        input,
        output,
    });
    Ok(())
}

struct Elements<'a> {
    quantize: Quantize,
    input: &'a [u8],
    output: &'a mut [u8],
}

impl Kernel for Elements<'_> {
    #[inline(always)]
    fn run(self) {
        let Self {
            quantize,
            input,
            output,
        } = self;
        let shifted = |steps: i32| steps.saturating_add(quantize.output_zero_point);
        let floats = input.as_chunks().0.iter().map(|&x| f32::from_le_bytes(x));
        match quantize.source {
            Source::Float { scale } => {
                quantize.store(floats.map(|x| shifted(round_away(x / scale))), output);
            }
            Source::FloatEven { inverse } => {
                quantize.store(floats.map(|x| shifted(round_even(x * inverse))), output);
            }
            Source::Bytes {
                byte,
                zero_point,
                rescale,
            } => {
                let values = input
                    .iter()
                    .map(|&x| rescale.apply(byte.widen(x) - zero_point));
                quantize.store(values.map(shifted), output);
            }
            Source::Words {
                zero_point,
                rescale,
            } => {
                let words = input.as_chunks().0.iter();
                let words = words.map(|&x| i32::from(i16::from_le_bytes(x)));
                let values = words.map(|x| rescale.apply(x - zero_point));
                quantize.store(values.map(shifted), output);
            }
            Source::Longs {
                zero_point,
                rescale,
            } => {
                let longs = input.as_chunks().0.iter().map(|&x| i32::from_le_bytes(x));
                let values = longs.map(|x| rescale.apply(x.wrapping_sub(zero_point)));
                quantize.store(values.map(shifted), output);
            }
        }
    }
}
