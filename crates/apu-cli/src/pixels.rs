//! From a picture to the bytes of a model's input.

use apu::{DType, Program, Quantization, Tensor};
use apu_proto::program::{Quantize, SEGMENT_IO, opcode};
use image::DynamicImage;
use image::imageops::FilterType;
use zerocopy::FromBytes;

/// How a program takes a picture.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    frame: Frame,
    encoding: Encoding,
}

impl Encoder {
    /// Reads it off the program's only input.
    ///
    /// # Errors
    /// Why the program takes no picture, in words.
    pub fn of(program: &Program) -> Result<Self, String> {
        let [input] = program.inputs() else {
            return Err(format!(
                "it has {} inputs, one picture goes in",
                program.inputs().len()
            ));
        };
        Ok(Self {
            frame: Frame::of(input)?,
            encoding: Encoding::of(program, input)?,
        })
    }

    /// Fills `input` with a picture.
    pub fn write(&self, picture: &DynamicImage, input: &mut [u8]) {
        self.encoding.write(&self.frame.pixels(picture), input);
    }
}

/// Size of the picture that a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    height: u32,
    width: u32,
    channels: Channels,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channels {
    Gray,
    Rgb,
}

impl Frame {
    /// Reads it off an input's shape, `[1, height, width, 1 or 3]` or `[1, height, width]`.
    ///
    /// # Errors
    /// What is wrong with the input, in words.
    fn of(input: &Tensor) -> Result<Self, String> {
        let dimensions: Option<Vec<u32>> =
            input.shape.iter().map(|&d| u32::try_from(d).ok()).collect();
        let (height, width, channels) = match dimensions.as_deref() {
            Some(&[1, height, width, 3]) => (height, width, Channels::Rgb),
            Some(&[1, height, width, 1] | &[1, height, width]) => (height, width, Channels::Gray),
            _ => {
                return Err(format!(
                    "its input has the shape {:?}, a picture needs [1, height, width, 1 or 3]",
                    input.shape
                ));
            }
        };
        if height == 0 || width == 0 {
            return Err(format!("its input has the empty shape {:?}", input.shape));
        }
        Ok(Self {
            height,
            width,
            channels,
        })
    }

    /// The picture in this size, row by row, channels innermost; the aspect ratio gives way. The
    /// filter is bilinear, with a support that grows as the picture shrinks.
    fn pixels(self, picture: &DynamicImage) -> Vec<u8> {
        let filter = FilterType::Triangle;
        match self.channels {
            Channels::Gray => {
                image::imageops::resize(&picture.to_luma8(), self.width, self.height, filter)
                    .into_raw()
            }
            Channels::Rgb => {
                image::imageops::resize(&picture.to_rgb8(), self.width, self.height, filter)
                    .into_raw()
            }
        }
    }
}

/// How a pixel, 0 to 255, becomes an element of the input.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Encoding {
    /// The pixel.
    UInt8,
    /// The pixel less 128.
    Int8,
    /// The pixel, normalised to `range`, quantised.
    QuantizedInt8 {
        range: Range,
        quantization: Quantization,
    },
    /// The pixel, normalised to `range`.
    Float32 { range: Range },
}

/// The reals that black and white stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Range {
    black: f32,
    white: f32,
}

/// The normalisations that models are trained with.
const USUAL: [Range; 3] = [
    Range {
        black: 0.0,
        white: 1.0,
    },
    Range {
        black: -1.0,
        white: 1.0,
    },
    Range {
        black: 0.0,
        white: 255.0,
    },
];

impl Range {
    /// The reals that a quantised input can hold.
    fn span(quantization: Quantization, least: i32, most: i32) -> Self {
        let real = |stored: i32| quantization.scale * (stored - quantization.zero_point) as f32;
        Self {
            black: real(least),
            white: real(most),
        }
    }

    /// The normalisation that an input with this span was made for. The span comes from the values
    /// seen in calibration, so it is what black and white became, or a little less: the usual range
    /// whose ends are nearest, if they are within a tenth of its width; else the span itself.
    fn usual(self) -> Self {
        let usual = USUAL.into_iter().map(|range| (range.distance(self), range));
        usual
            .filter(|(distance, _)| *distance <= 0.1)
            .min_by(|(a, _), (b, _)| a.total_cmp(b))
            .map_or(self, |(_, range)| range)
    }

    /// How far the ends of two ranges are apart at most, in widths of this one.
    fn distance(self, other: Self) -> f32 {
        let apart = (self.black - other.black)
            .abs()
            .max((self.white - other.white).abs());
        apart / (self.white - self.black)
    }

    fn real(self, pixel: u8) -> f32 {
        self.black + (self.white - self.black) * f32::from(pixel) / 255.0
    }
}

impl Encoding {
    fn of(program: &Program, input: &Tensor) -> Result<Self, String> {
        match (input.dtype, input.quantization) {
            (DType::UInt8, _) => Ok(Self::UInt8),
            (DType::Int8, None) => Ok(Self::Int8),
            (DType::Int8, Some(quantization)) => Ok(Self::int8(quantization)),
            (DType::Float32, _) => Ok(Self::Float32 {
                range: float_range(program),
            }),
            (dtype, _) => Err(format!(
                "its input is {dtype:?}, a picture needs UInt8, Int8 or Float32"
            )),
        }
    }

    /// When the span is the usual range to within a step, the pixel less 128 is as near as it gets;
    /// computing it would only leave the many ties (-1 to 1 puts all pixels on one) to float noise.
    fn int8(quantization: Quantization) -> Self {
        let span = Range::span(quantization, -128, 127);
        let range = span.usual();
        if range.distance(span) <= 1.0 / 128.0 {
            Self::Int8
        } else {
            Self::QuantizedInt8 {
                range,
                quantization,
            }
        }
    }

    fn write(self, pixels: &[u8], input: &mut [u8]) {
        match self {
            Self::Int8 => {
                for (element, &pixel) in input.iter_mut().zip(pixels) {
                    *element = pixel.wrapping_sub(128);
                }
            }
            Self::UInt8 => input.copy_from_slice(pixels),
            Self::QuantizedInt8 {
                range,
                quantization,
            } => {
                for (element, &pixel) in input.iter_mut().zip(pixels) {
                    let stored = (range.real(pixel) / quantization.scale).round()
                        + quantization.zero_point as f32;
                    *element = (stored.clamp(-128.0, 127.0) as i8).cast_unsigned();
                }
            }
            Self::Float32 { range } => {
                for (element, &pixel) in input.chunks_exact_mut(4).zip(pixels) {
                    element.copy_from_slice(&range.real(pixel).to_le_bytes());
                }
            }
        }
    }
}

/// The range of a float input follows from the QUANTIZE that takes it; without one, 0 to 1.
fn float_range(program: &Program) -> Range {
    let taken = program.operations().iter().find(|operation| {
        let [operand, ..] = operation.record.operands;
        operation.record.opcode == opcode::QUANTIZE && operand.segment == SEGMENT_IO
    });
    let Some((quantize, _)) =
        taken.and_then(|operation| Quantize::read_from_prefix(&operation.record.params).ok())
    else {
        return USUAL[0];
    };
    let quantization = Quantization {
        scale: f32::from_bits(quantize.scale),
        zero_point: quantize.output_zero_point,
    };
    let span = match DType::from_raw(quantize.output_dtype) {
        Some(DType::UInt8) => Range::span(quantization, 0, 255),
        _ => Range::span(quantization, -128, 127),
    };
    span.usual()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int8(scale: f32, zero_point: i32) -> [i8; 3] {
        let mut bytes = [0; 3];
        Encoding::int8(Quantization { scale, zero_point }).write(&[0, 100, 255], &mut bytes);
        bytes.map(u8::cast_signed)
    }

    #[test]
    fn the_usual_int8_inputs_take_the_pixel_less_128() {
        assert_eq!(int8(1.0 / 255.0, -128), [-128, -28, 127]); // 0 to 1
        assert_eq!(int8(2.0 / 255.0, -1), [-128, -28, 127]); // -1 to 1
        assert_eq!(int8(2.0 / 255.0, 0), [-128, -28, 127]);
        assert_eq!(int8(1.0, -128), [-128, -28, 127]); // 0 to 255
    }

    #[test]
    fn white_beyond_what_calibration_saw_saturates() {
        // Calibrated on pictures that reach 0.95: the scale is smaller, so the same grey is larger.
        assert_eq!(int8(0.95 / 255.0, -128), [-128, -23, 127]);
    }

    #[test]
    fn an_unusual_range_is_spanned_by_black_and_white() {
        // Mean and deviation of ImageNet: -2.1 to 2.6.
        assert_eq!(int8(4.7 / 255.0, -14), [-128, -28, 127]);
    }

    #[test]
    fn floats_are_normalised() {
        let mut bytes = [0; 8];
        Encoding::Float32 { range: USUAL[1] }.write(&[0, 255], &mut bytes);
        assert_eq!(
            bytes,
            [(-1.0_f32).to_le_bytes(), 1.0_f32.to_le_bytes()].concat()[..]
        );
    }

    #[test]
    fn a_frame_is_one_picture() {
        let tensor = |shape: &[usize]| Tensor {
            name: "x".into(),
            dtype: DType::UInt8,
            shape: shape.into(),
            size: 0,
            quantization: None,
        };
        assert!(Frame::of(&tensor(&[1, 4, 5, 3])).is_ok());
        assert!(Frame::of(&tensor(&[1, 4, 5])).is_ok());
        for wrong in [&[1, 640][..], &[2, 4, 5, 3], &[1, 4, 5, 2], &[1, 0, 5, 1]] {
            assert!(Frame::of(&tensor(wrong)).unwrap_err().contains("shape"));
        }
    }
}
