//! Pictures: read from files, and shown as text.

use std::io::Cursor;
use std::path::Path;

use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageError, ImageReader};

use crate::error::Error;

/// Reads a PNG, JPEG or BMP, told apart by content, and turns it upright as its EXIF data says.
pub fn read(path: &Path) -> Result<DynamicImage, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Read {
        what: "the picture",
        path: path.into(),
        source,
    })?;
    decode(&bytes).map_err(|source| Error::Picture {
        path: path.into(),
        source,
    })
}

/// The handwritten digit that comes with this program.
pub fn digit() -> Result<DynamicImage, Error> {
    decode(include_bytes!("../../../models/digits/digit.png")).map_err(|source| Error::Picture {
        path: "digit.png".into(),
        source,
    })
}

fn decode(bytes: &[u8]) -> Result<DynamicImage, ImageError> {
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(ImageError::IoError)?;
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Shades from dark to light, for a dark terminal.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// The picture as lines of blocks, at most `columns` wide. A character is about twice as high as
/// wide, so a square picture gets half as many lines as columns.
pub fn as_text(picture: &DynamicImage, columns: u16) -> String {
    let gray = picture.to_luma8();
    let columns = u32::from(columns.max(2));
    let lines =
        (u64::from(columns) * u64::from(gray.height()) / u64::from(gray.width().max(1)) / 2)
            .clamp(1, 200);
    let small: GrayImage =
        image::imageops::resize(&gray, columns, lines as u32, FilterType::Triangle);
    let mut text = String::new();
    for row in small.rows() {
        let line: String = row.map(|pixel| shade(pixel.0[0])).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn shade(level: u8) -> char {
    let step = usize::from(level) * SHADES.len() / 256;
    SHADES.get(step).copied().unwrap_or(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_picture_is_twice_as_wide_as_high_in_characters() {
        let picture = DynamicImage::ImageLuma8(GrayImage::from_pixel(100, 100, image::Luma([255])));
        assert_eq!(as_text(&picture, 4), "████\n████\n");
    }

    #[test]
    fn shades_span_black_to_white() {
        assert_eq!([0, 51, 52, 128, 255].map(shade), [' ', ' ', '░', '▒', '█']);
    }
}
