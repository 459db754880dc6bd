//! From the bytes of a model's output to ranked classes.

use apu::{DType, Quantization, Tensor};

/// The score of one class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Index in the output.
    pub class: usize,
    /// Larger is surer; a probability when the model ends in a softmax.
    pub score: f32,
}

/// The `count` best classes, best first; equal ones in the order of the output.
///
/// # Errors
/// Why the output holds no scores, in words.
pub fn best(output: &Tensor, bytes: &[u8], count: usize) -> Result<Vec<Score>, String> {
    let scores = values(output, bytes)?;
    let mut ranked: Vec<Score> = scores
        .into_iter()
        .enumerate()
        .map(|(class, score)| Score { class, score })
        .collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranked.truncate(count);
    Ok(ranked)
}

fn values(output: &Tensor, bytes: &[u8]) -> Result<Vec<f32>, String> {
    let quantization = output.quantization.unwrap_or(Quantization {
        scale: 1.0,
        zero_point: 0,
    });
    let real = |stored: i32| quantization.scale * (stored - quantization.zero_point) as f32;
    Ok(
        match (output.dtype, is_probability(quantization, output.dtype)) {
            // A byte of probability is shown as label_image shows it, full scale being 255 or 256.
            (DType::UInt8, true) => bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect(),
            (DType::Int8, true) => bytes
                .iter()
                .map(|&byte| (f32::from(byte.cast_signed()) + 128.0) / 256.0)
                .collect(),
            (DType::UInt8, false) => bytes.iter().map(|&byte| real(byte.into())).collect(),
            (DType::Int8, false) => bytes
                .iter()
                .map(|&byte| real(byte.cast_signed().into()))
                .collect(),
            (DType::Float32, _) => {
                let (elements, _) = bytes.as_chunks();
                elements
                    .iter()
                    .map(|&element| f32::from_le_bytes(element))
                    .collect()
            }
            (dtype, _) => {
                return Err(format!(
                    "its output is {dtype:?}, scores are UInt8, Int8 or Float32"
                ));
            }
        },
    )
}

/// Whether the stored range stands for 0 to 1, as behind a softmax.
fn is_probability(quantization: Quantization, dtype: DType) -> bool {
    let least = if dtype == DType::Int8 { -128 } else { 0 };
    quantization.zero_point == least && (1.0 / 256.0..=1.0 / 255.0).contains(&quantization.scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(dtype: DType, scale: f32, zero_point: i32) -> Tensor {
        let quantization = Some(Quantization { scale, zero_point });
        Tensor {
            name: "scores".into(),
            dtype,
            shape: vec![1, 3],
            size: 3,
            quantization,
        }
    }

    fn ranked(output: &Tensor, bytes: &[u8]) -> Vec<(usize, f32)> {
        best(output, bytes, 2)
            .unwrap()
            .iter()
            .map(|best| (best.class, best.score))
            .collect()
    }

    #[test]
    fn bytes_of_probability_read_as_label_image_shows_them() {
        let uint8 = output(DType::UInt8, 1.0 / 256.0, 0);
        assert_eq!(
            ranked(&uint8, &[1, 229, 25]),
            [(1, 229.0 / 255.0), (2, 25.0 / 255.0)]
        );
        let int8 = output(DType::Int8, 1.0 / 256.0, -128);
        assert_eq!(
            ranked(&int8, &[0x80, 0x7f, 0x00]),
            [(1, 255.0 / 256.0), (2, 0.5)]
        );
    }

    #[test]
    fn other_ranges_read_as_reals() {
        assert_eq!(
            ranked(&output(DType::Int8, 0.5, 10), &[12, 0x80, 14]),
            [(2, 2.0), (0, 1.0)]
        );
    }

    #[test]
    fn equal_scores_keep_the_order_of_the_output() {
        assert_eq!(
            ranked(&output(DType::UInt8, 1.0, 0), &[7, 9, 9]),
            [(1, 9.0), (2, 9.0)]
        );
    }

    #[test]
    fn what_is_no_score_is_refused() {
        assert!(
            best(&output(DType::Int64, 1.0, 0), &[0; 8], 1)
                .unwrap_err()
                .contains("Int64")
        );
    }
}
