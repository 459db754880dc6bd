//! Compiled programs are kept, and never trusted.

use crate::command::Folder;

fn entries(folder: &Folder) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder.path().join("cache"));
    entries
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn what_was_compiled_once_is_kept_and_used() {
    let folder = Folder::new();
    let answer = folder.result("classify digits.tflite digit.png");
    let [entry] = entries(&folder).try_into().unwrap();
    let used = || std::fs::metadata(&entry).unwrap().modified().unwrap();
    let written = used();
    assert_eq!(folder.result("classify digits.tflite digit.png"), answer);
    assert!(used() > written);
}

#[test]
fn a_damaged_entry_changes_no_answer() {
    let folder = Folder::new();
    let answer = folder.result("classify digits.tflite digit.png");
    let [entry] = entries(&folder).try_into().unwrap();
    let mut content = std::fs::read(&entry).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    std::fs::write(&entry, content).unwrap();
    assert_eq!(folder.result("classify digits.tflite digit.png"), answer);
}

#[test]
fn two_processes_at_once_share_a_cache() {
    let folder = Folder::new();
    let both = [(); 2].map(|()| {
        folder
            .command("classify --json")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    });
    let [one, other] = both.map(|child| child.wait_with_output().unwrap());
    assert!(one.status.success() && other.status.success());
    assert_eq!(one.stdout, other.stdout);
    assert_eq!(entries(&folder).len(), 1);
}

#[test]
fn without_a_cache_nothing_is_kept() {
    let folder = Folder::new();
    folder.result("classify --no-cache");
    let done = folder
        .command("classify")
        .env("APU_CACHE_DIR", "")
        .output()
        .unwrap();
    assert!(done.status.success());
    assert_eq!(entries(&folder), [""; 0].map(std::path::PathBuf::from));
}

#[test]
fn a_cache_that_cannot_be_written_is_told_of_when_asked() {
    let folder = Folder::new();
    let run = |arguments| {
        let mut command = folder.command(arguments);
        let output = command
            .env("APU_CACHE_DIR", folder.path().join("digit.png"))
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(run("classify"), "");
    assert!(run("-v classify").contains("the program is not kept in"));
}

#[test]
fn compile_tells_how_long_it_takes() {
    let text = Folder::new().result("compile digits.tflite --time");
    let times: Vec<&str> = text
        .lines()
        .map(|line| line.split("  ").next().unwrap())
        .collect();
    assert_eq!(times.len(), 2, "{text}");
    assert!(
        text.starts_with("compile ") && text.contains("\nfrom cache "),
        "{text}"
    );
}

#[test]
fn compile_tells_what_a_program_takes_of_memory() {
    let stats = |goal: &str| {
        let text =
            Folder::new().result(&format!("compile digits.tflite --stats --optimise {goal}"));
        let arena = text
            .lines()
            .find_map(|line| line.strip_prefix("arena"))
            .unwrap();
        let arena: u64 = arena.trim().trim_end_matches(" bytes").parse().unwrap();
        assert!(text.contains("ratio 1.0"), "{text}");
        arena
    };
    assert!(stats("size") < stats("speed"));
}

#[test]
fn a_program_for_size_says_the_same() {
    let folder = Folder::new();
    assert_eq!(
        folder.result("classify --optimise size"),
        folder.result("classify --optimise speed")
    );
    assert_eq!(entries(&folder).len(), 2);
}

#[test]
fn a_target_that_is_none_is_refused_with_those_that_are() {
    let done = Folder::new().apu("compile digits.tflite -o x.apu --target npu");
    assert_eq!(done.code, 2);
    assert!(
        done.stderr.contains("`npu`") || done.stderr.contains("npu"),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("k4n16"), "{}", done.stderr);
}
