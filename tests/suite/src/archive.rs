//! Archives of cases: `.npz` files as `tests/golden/make_golden.py` describes them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use npyz::{NpyFile, TypeChar};
use zip::ZipArchive;
use zip::result::ZipError;

/// A model, its inputs for several runs, and the outputs that it must have.
#[derive(PartialEq, Eq)]
pub struct Case {
    /// "KIND/NN".
    pub name: String,
    /// What the case was made from, as JSON.
    pub parameters: String,
    /// The `.tflite` file.
    pub model: Vec<u8>,
    /// One for each input of the model.
    pub inputs: Vec<Stack>,
    /// One for each output of the model.
    pub outputs: Vec<Stack>,
}

impl Case {
    /// How many times the model is run.
    pub fn runs(&self) -> usize {
        self.inputs.first().map_or(0, |stack| stack.runs)
    }
}

/// The tensors of all runs, one after the other.
#[derive(PartialEq, Eq)]
pub struct Stack {
    /// Tensors in it.
    pub runs: usize,
    /// Shape of one tensor.
    pub shape: Vec<u64>,
    bytes: Vec<u8>,
}

impl Stack {
    /// The bytes of one run's tensor, row-major and little-endian.
    pub fn tensor(&self, run: usize) -> &[u8] {
        let size = self.bytes.len() / self.runs;
        &self.bytes[run * size..][..size]
    }
}

/// An open archive: a zip file with an `.npy` file for each array.
pub struct Archive {
    zip: ZipArchive<BufReader<File>>,
}

impl Archive {
    /// Opens the file at `path`.
    pub fn open(path: &Path) -> Self {
        let file = File::open(path)
            .unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()));
        let zip = ZipArchive::new(BufReader::new(file))
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        Self { zip }
    }

    /// Names of the kinds of cases.
    pub fn kinds(&self) -> BTreeSet<String> {
        let kind = |name: &str| name.split('/').next().unwrap_or_default().to_owned();
        self.zip.file_names().map(kind).collect()
    }

    /// All cases of a kind, in order.
    pub fn cases(&mut self, kind: &str) -> Vec<Case> {
        let names: Vec<String> = self.zip.file_names().map(str::to_owned).collect();
        let mut cases: Vec<&str> = names
            .iter()
            .filter_map(|name| name.strip_suffix("/model.npy"))
            .filter(|case| case.split('/').next() == Some(kind))
            .collect();
        cases.sort_unstable();
        cases.into_iter().map(|name| self.case(name)).collect()
    }

    fn case(&mut self, name: &str) -> Case {
        Case {
            name: name.to_owned(),
            parameters: String::from_utf8(self.bytes(&format!("{name}/parameters")))
                .expect("parameters are UTF-8"),
            model: self.bytes(&format!("{name}/model")),
            inputs: self.stacks(&format!("{name}/input")),
            outputs: self.stacks(&format!("{name}/output")),
        }
    }

    fn stacks(&mut self, prefix: &str) -> Vec<Stack> {
        (0..)
            .map_while(|i| self.stack(&format!("{prefix}_{i}")))
            .collect()
    }

    fn bytes(&mut self, name: &str) -> Vec<u8> {
        bytes(
            self.array(name)
                .unwrap_or_else(|| panic!("the archive has no {name}")),
        )
    }

    fn array(&mut self, name: &str) -> Option<NpyFile<impl Read>> {
        let entry = match self.zip.by_name(&format!("{name}.npy")) {
            Err(ZipError::FileNotFound) => return None,
            entry => entry.expect("the archive is readable"),
        };
        Some(NpyFile::new(entry).expect("an entry is an .npy file"))
    }

    fn stack(&mut self, name: &str) -> Option<Stack> {
        let array = self.array(name)?;
        let (&runs, shape) = array.shape().split_first().expect("runs lie along axis 0");
        Some(Stack {
            runs: usize::try_from(runs).expect("it is in memory"),
            shape: shape.to_vec(),
            bytes: bytes(array),
        })
    }
}

/// The bytes of an `.npy` file's array, which is row-major and of a type known here.
pub fn bytes<R: Read>(array: NpyFile<R>) -> Vec<u8> {
    let npyz::DType::Plain(dtype) = array.dtype() else {
        panic!("an array of records");
    };
    assert_eq!(array.order(), npyz::Order::C, "an array must be row-major");
    let read = "the array is as long as it says";
    match (dtype.type_char(), dtype.size_field()) {
        (TypeChar::Uint, 1) => array.into_vec::<u8>().expect(read),
        (TypeChar::Int, 1) => little_endian(array.into_vec().expect(read), i8::to_le_bytes),
        (TypeChar::Bool, 1) => array
            .into_vec::<bool>()
            .expect(read)
            .into_iter()
            .map(u8::from)
            .collect(),
        (TypeChar::Int, 2) => little_endian(array.into_vec().expect(read), i16::to_le_bytes),
        (TypeChar::Int, 8) => little_endian(array.into_vec().expect(read), i64::to_le_bytes),
        (TypeChar::Int, 4) => little_endian(array.into_vec().expect(read), i32::to_le_bytes),
        (TypeChar::Float, 4) => little_endian(array.into_vec().expect(read), f32::to_le_bytes),
        (kind, size) => panic!("an array of {kind:?} with {size} bytes"),
    }
}

fn little_endian<T, const N: usize>(values: Vec<T>, bytes: fn(T) -> [u8; N]) -> Vec<u8> {
    values.into_iter().flat_map(bytes).collect()
}
