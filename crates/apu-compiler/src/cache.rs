//! Programs that have been compiled before, in a folder of files.
//!
//! An entry is named by a hash over all that a program depends on: the model, the [`Options`] and
//! this compiler. It holds the program and a hash of it, keyed with the name; an entry for which
//! that doesn't hold, because it was damaged or renamed, counts as none and is written anew. Entries
//! appear whole, by renaming, so processes may share a folder without knowing of each other. What has
//! not been used for longest goes when a folder grows beyond its limit.
//!
//! A cache only ever saves time: where it can't read or write, the program is compiled.

mod key;
mod sweep;

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::{Error, Options, compile, compile_graph, graph::Graph};
use key::Key;

/// Moves the cache, or switches it off if it is empty.
pub const VARIABLE: &str = "APU_CACHE_DIR";
/// Bytes that a folder may hold unless said otherwise.
pub const LIMIT: u64 = 256 << 20;

/// A folder of compiled programs.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    limit: u64,
}

/// A program, and where it came from.
#[derive(Debug)]
pub struct Cached {
    /// The `.apu` file.
    pub program: Vec<u8>,
    /// How it was come by.
    pub origin: Origin,
}

/// Where a program came from.
#[derive(Debug)]
pub enum Origin {
    /// From the cache.
    Cache,
    /// It was compiled, and put into the cache if that could be done.
    Compiler {
        /// Whether the cache has it now.
        kept: io::Result<()>,
    },
}

impl Cache {
    /// A cache in this folder, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>, limit: u64) -> Self {
        Self {
            folder: folder.into(),
            limit,
        }
    }

    /// The user's: [`VARIABLE`], else `tinyapu/programs` in `XDG_CACHE_HOME` or `~/.cache`. `None` if
    /// the variable is empty, or nothing says where the user's files are.
    pub fn of_user() -> Option<Self> {
        let set = |name| std::env::var_os(name).map(PathBuf::from);
        let folder = match set(VARIABLE) {
            Some(folder) if folder.as_os_str().is_empty() => return None,
            Some(folder) => folder,
            // The XDG specification has relative paths ignored.
            None => set("XDG_CACHE_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| Some(std::env::home_dir()?.join(".cache")))?
                .join("tinyapu/programs"),
        };
        Some(Self::new(folder, LIMIT))
    }

    /// The program of a `.tflite` model.
    ///
    /// # Errors
    /// As [`compile`](crate::compile()).
    pub fn compile(&self, model: &[u8], options: &Options) -> Result<Cached, Error> {
        self.get_or(Key::of_model(model, options), || {
            Ok(compile(model, options)?.program)
        })
    }

    /// The program of a graph that came from elsewhere than a file.
    ///
    /// # Errors
    /// As [`compile_graph`](crate::compile_graph()).
    pub fn compile_graph(&self, graph: &Graph, options: &Options) -> Result<Cached, Error> {
        self.get_or(Key::of_graph(graph, options), || {
            Ok(compile_graph(graph, options)?.program)
        })
    }

    fn get_or(
        &self,
        key: Key,
        compile: impl FnOnce() -> Result<Vec<u8>, Error>,
    ) -> Result<Cached, Error> {
        if let Some(program) = self.load(&key) {
            let origin = Origin::Cache;
            return Ok(Cached { program, origin });
        }
        let program = compile()?;
        let kept = self.store(&key, &program);
        let origin = Origin::Compiler { kept };
        Ok(Cached { program, origin })
    }

    /// An entry that is whole.
    fn load(&self, key: &Key) -> Option<Vec<u8>> {
        let file = File::open(self.entry(key)).ok()?;
        let size = file.metadata().ok()?.len();
        if size > self.limit {
            return None;
        }
        let mut entry = Vec::with_capacity(size as usize);
        (&file).take(self.limit).read_to_end(&mut entry).ok()?;
        let (program, &hash) = entry.split_last_chunk()?;
        if key.hash(program) != hash {
            return None;
        }
        // When it was used last. Where that can't be noted, it goes a little too early.
        let _ = file.set_modified(SystemTime::now());
        entry.truncate(program.len());
        Some(entry)
    }

    fn store(&self, key: &Key, program: &[u8]) -> io::Result<()> {
        if (program.len() + size_of::<key::Hash>()) as u64 > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::Builder::new()
            .prefix(sweep::UNFINISHED)
            .tempfile_in(&self.folder)?;
        file.write_all(program)?;
        file.write_all(&key.hash(program))?;
        file.persist(self.entry(key))?;
        sweep::sweep(&self.folder, self.limit)
    }

    fn entry(&self, key: &Key) -> PathBuf {
        self.folder.join(key.name())
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
