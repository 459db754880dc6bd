//! Writes what fuzzing begins with to a folder for each target: models and programs of every operator, and
//! of whole models that are small.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use apu_proto::program::{Header, Io};
use suite::{golden, hostile, shared};
use zerocopy::FromBytes;

/// Bytes of a whole model; the fuzzer makes up none that are larger than the largest one that it begins with.
const MOST: u64 = 128 << 10;

fn main() -> io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".into()));
    let mut models = golden::models();
    models.extend(whole_models()?);
    let programs = hostile::programs(&models);
    for (target, seeds) in [
        ("importer", &models),
        ("compiler", &models),
        ("validator", &[&programs[..], &records(&programs)].concat()),
        ("interpreter", &programs),
    ] {
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        for (index, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("{index}")), seed)?;
        }
    }
    Ok(())
}

/// The records of programs, behind sizes of segments in which they have room.
fn records(programs: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let records = programs.iter().filter_map(|program| {
        let header = Header::read_from_prefix(program).ok()?.0;
        let ends = (header.input_count + header.output_count) as usize;
        let first = size_of::<Header>() + ends * size_of::<Io>();
        let records = program.get(first..header.code_size as usize)?;
        Some([&[0xff; 8], records].concat())
    });
    records.collect()
}

/// Those of the project, and those beside the checkout.
fn whole_models() -> io::Result<Vec<Vec<u8>>> {
    let mut models = Vec::new();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/digits");
    for folder in [
        Some(own),
        shared::folder().map(|shared| shared.join("models")),
    ] {
        let Some(folder) = folder else { continue };
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let is_model = entry.path().extension() == Some("tflite".as_ref());
            if is_model && entry.metadata()?.len() <= MOST {
                models.push(fs::read(entry.path())?);
            }
        }
    }
    Ok(models)
}
