//! Compiled programs are found again, and only whole ones.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use apu_compiler::cache::{Cache, LIMIT, Origin};
use apu_compiler::{Options, compile};
use tempfile::TempDir;

const MODEL: &[u8] = include_bytes!("../../../models/digits/digits.tflite");

fn cache(folder: &TempDir) -> Cache {
    Cache::new(folder.path().join("made/by/need"), LIMIT)
}

/// Whether the program came from the cache; it is the right one in any case.
fn is_hit(cache: &Cache) -> bool {
    let options = Options::default();
    let cached = cache.compile(MODEL, &options).unwrap();
    assert!(cached.program == compile(MODEL, &options).unwrap().program);
    matches!(cached.origin, Origin::Cache)
}

fn entries(cache: &Cache) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache.folder()).unwrap();
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn only_entry(cache: &Cache) -> PathBuf {
    let [entry] = entries(cache).try_into().unwrap();
    entry
}

#[test]
fn the_second_time_a_program_comes_from_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!is_hit(&cache(&folder)));
    assert!(is_hit(&cache(&folder)));
}

#[test]
fn a_damaged_entry_is_compiled_anew_wherever_the_damage_is() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(&folder);
    is_hit(&cache);
    let entry = only_entry(&cache);
    let whole = fs::read(&entry).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&entry, damaged).unwrap();
        assert!(!is_hit(&cache), "byte {at}");
        assert!(is_hit(&cache), "byte {at} is mended");
    }
    for size in [0, 1, 31, 32, whole.len() - 1] {
        fs::write(&entry, &whole[..size]).unwrap();
        assert!(!is_hit(&cache), "cut to {size}");
    }
}

#[test]
fn an_entry_under_the_name_of_another_is_not_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(&folder);
    is_hit(&cache);
    let entry = only_entry(&cache);
    let other = with_another_description();
    cache.compile(&other, &Options::default()).unwrap();
    let new = entries(&cache).into_iter().find(|path| *path != entry);
    fs::rename(new.unwrap(), &entry).unwrap();
    assert!(!is_hit(&cache));
}

/// The model with one letter of a name changed.
fn with_another_description() -> Vec<u8> {
    let mut model = MODEL.to_vec();
    let name = b"min_runtime_version";
    let at = model.windows(name.len()).position(|w| w == name).unwrap();
    model[at] = b'M';
    model
}

#[test]
fn an_unfinished_entry_of_another_process_is_left_alone_until_it_is_old() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(&folder);
    fs::create_dir_all(cache.folder()).unwrap();
    let (young, old) = (
        cache.folder().join(".unfinished-young"),
        cache.folder().join(".unfinished-old"),
    );
    fs::write(&young, "half").unwrap();
    fs::write(&old, "half").unwrap();
    age(&old, 2 * 3600);
    is_hit(&cache);
    assert!(young.exists() && !old.exists());
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let program = compile(MODEL, &Options::default()).unwrap().program.len() as u64;
    // Room for two, not for three.
    let cache = Cache::new(folder.path(), program * 5 / 2);
    for name in ["a.program", "b.program"] {
        fs::write(folder.path().join(name), vec![0; program as usize]).unwrap();
    }
    age(&folder.path().join("a.program"), 20);
    age(&folder.path().join("b.program"), 30);
    fs::write(folder.path().join("a file of the user"), "").unwrap();
    is_hit(&cache);
    assert!(is_hit(&cache));
    let left = entries(&cache);
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(!left.contains(&folder.path().join("b.program")));
}

fn age(path: &Path, seconds: u64) {
    let then = SystemTime::now() - Duration::from_secs(seconds);
    fs::File::open(path).unwrap().set_modified(then).unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_costs_no_more_than_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let cache = Cache::new(file.join("cache"), LIMIT);
    let cached = cache.compile(MODEL, &Options::default()).unwrap();
    assert!(matches!(cached.origin, Origin::Compiler { kept: Err(_) }));
}

#[test]
fn many_at_once_get_the_right_program() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(&folder);
    let damage = || {
        for entry in fs::read_dir(cache.folder()).into_iter().flatten().flatten() {
            let _ = fs::write(entry.path(), "damaged");
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..20).for_each(|_| _ = is_hit(&cache)));
        }
        scope.spawn(|| (0..50).for_each(|_| damage()));
    });
    is_hit(&cache);
    assert!(is_hit(&cache));
}
