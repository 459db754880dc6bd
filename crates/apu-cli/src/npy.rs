//! Tensors in NumPy's `.npy` files.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use apu::{DType, Program, Quantization, Tensor};
use npyz::{Endianness, NpyHeader, Order, TypeChar, WriterBuilder};

use crate::error::Error;

/// Reads a file for each input of a model.
pub fn read_all(paths: &[PathBuf], model: &str, program: &Program) -> Result<Vec<Vec<u8>>, Error> {
    let tensors = program.inputs();
    if paths.len() != tensors.len() {
        let line = |tensor: &Tensor| format!("`{}` {}", tensor.name, describe_needed(tensor));
        let wanted: Vec<String> = tensors.iter().map(line).collect();
        return Err(Error::InputCount {
            model: model.into(),
            needed: tensors.len(),
            got: paths.len(),
            wanted: wanted.join("\n"),
        });
    }
    let pairs = paths.iter().zip(tensors).enumerate();
    pairs
        .map(|(index, (path, tensor))| read(path, index, tensor))
        .collect()
}

/// Reads the tensor that a model needs as its input `index`, as its bytes.
fn read(path: &Path, index: usize, tensor: &Tensor) -> Result<Vec<u8>, Error> {
    let file = std::fs::read(path).map_err(|source| Error::Read {
        what: "the tensor",
        path: path.into(),
        source,
    })?;
    let unusable = |source| Error::Npy {
        index,
        name: tensor.name.clone(),
        path: path.into(),
        source,
    };
    let mut data = file.as_slice();
    let header = NpyHeader::from_reader(&mut data).map_err(unusable)?;
    let (got, needed) = (describe(&header), describe_needed(tensor));
    if got != needed {
        return Err(Error::InputMismatch {
            index,
            name: tensor.name.as_str().into(),
            path: path.into(),
            got: got.into(),
            needed: needed.into(),
            way_out: way_out(&header, tensor).into(),
        });
    }
    if header.order() == Order::Fortran && !is_line(&tensor.shape) {
        return Err(unusable(io::Error::other(
            "its elements are in Fortran order, needed is C order",
        )));
    }
    if data.len() != tensor.size {
        let text = format!(
            "it holds {} bytes of data, its header announces {}",
            data.len(),
            tensor.size
        );
        return Err(unusable(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
    }
    Ok(data.to_vec())
}

/// What to do about an array that isn't the tensor: the shape first, then the elements, which a mere
/// `astype` would spoil when they stand for other numbers.
fn way_out(header: &NpyHeader, tensor: &Tensor) -> String {
    let shape = shape_text(&tensor.shape);
    let elements: usize = tensor.shape.iter().product();
    if header.len() != elements as u64 {
        return format!("the model takes {elements} elements in the shape {shape}");
    }
    if type_text(header) == numpy_name(tensor.dtype) {
        return format!("save array.reshape({shape})");
    }
    let dtype = numpy_name(tensor.dtype);
    match tensor.quantization {
        Some(Quantization { scale, zero_point }) => format!(
            "a real number r is stored as round(r / {scale}) + {zero_point}, kept within {dtype}"
        ),
        None => format!("save the numbers as {dtype}"),
    }
}

/// Writes a tensor.
pub fn write(path: &Path, tensor: &Tensor, bytes: &[u8]) -> Result<(), Error> {
    write_file(path, tensor, bytes).map_err(|source| Error::Write {
        path: path.into(),
        source,
    })
}

fn write_file(path: &Path, tensor: &Tensor, bytes: &[u8]) -> io::Result<()> {
    let shape: Vec<u64> = tensor.shape.iter().map(|&d| d as u64).collect();
    let mut file = BufWriter::new(File::create(path)?);
    npyz::WriteOptions::new_header_only()
        .dtype(npyz::DType::Plain(
            type_string(tensor.dtype)
                .parse()
                .map_err(io::Error::other)?,
        ))
        .shape(&shape)
        .writer(&mut file)
        .write_header_only()?;
    file.write_all(bytes)?;
    file.flush()
}

/// Whether C and Fortran order are the same: at most one dimension is longer than 1.
fn is_line(shape: &[usize]) -> bool {
    shape.iter().filter(|&&d| d > 1).count() <= 1
}

fn describe(header: &NpyHeader) -> String {
    format!("{} {}", type_text(header), shape_text(header.shape()))
}

/// Type of the elements as NumPy names it, where it does.
fn type_text(header: &NpyHeader) -> String {
    let npyz::DType::Plain(plain) = header.dtype() else {
        return format!("records {}", header.dtype().descr());
    };
    let kind = match plain.type_char() {
        TypeChar::Int => "int",
        TypeChar::Uint => "uint",
        TypeChar::Float => "float",
        TypeChar::Bool => return "bool".into(),
        _ => return plain.to_string(),
    };
    let order = if plain.endianness() == Endianness::Big {
        "big-endian "
    } else {
        ""
    };
    format!("{order}{kind}{}", plain.size_field() * 8)
}

/// Type and shape of a tensor in NumPy's words.
fn describe_needed(tensor: &Tensor) -> String {
    format!("{} {}", numpy_name(tensor.dtype), shape_text(&tensor.shape))
}

/// A shape as Python writes it.
fn shape_text<D: ToString>(shape: &[D]) -> String {
    let dimensions: Vec<String> = shape.iter().map(D::to_string).collect();
    match dimensions.as_slice() {
        [only] => format!("({only},)"),
        all => format!("({})", all.join(", ")),
    }
}

/// Name of a type in NumPy and in TFLite.
pub fn numpy_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Int8 => "int8",
        DType::UInt8 => "uint8",
        DType::Int16 => "int16",
        DType::Int32 => "int32",
        DType::Int64 => "int64",
        DType::Float32 => "float32",
        DType::Bool => "bool",
    }
}

/// NumPy's type string; everything is little-endian here.
fn type_string(dtype: DType) -> &'static str {
    match dtype {
        DType::Int8 => "|i1",
        DType::UInt8 => "|u1",
        DType::Int16 => "<i2",
        DType::Int32 => "<i4",
        DType::Int64 => "<i8",
        DType::Float32 => "<f4",
        DType::Bool => "|b1",
    }
}
