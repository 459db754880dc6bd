//! `apu bench` and `apu devices`.

use crate::command::Folder;

#[test]
fn bench_tells_times_in_order_and_under_which_conditions() {
    let report = Folder::new().json("bench digits.tflite --runs 20 --json");
    assert_eq!(report["numerics"], "tflite");
    assert_eq!(report["device"], "in-process");
    assert_eq!(report["num_threads"], 1);
    assert_eq!(report["inference"]["runs"], 20);
    assert!(report["isa"].is_string());
    let time = |part: &str, key: &str| report[part][key].as_f64().unwrap();
    assert!(time("init", "total_us") >= time("init", "program_us"));
    let order =
        ["min_us", "p50_us", "p90_us", "p99_us", "max_us"].map(|key| time("inference", key));
    assert!(order.is_sorted() && order[0] > 0.0, "{order:?}");
}

#[test]
fn bench_reads_well() {
    let text = Folder::new().result("bench digits.tflite --runs 3");
    insta::with_settings!({ filters => vec![
        (r"\d+\.\d+ (us|ms)", "[time]"),
        (r"\(in-process.*\)", "([driver and isa])"),
    ]}, { insta::assert_snapshot!(text) });
}

#[test]
fn options_are_spelled_as_benchmark_model_spells_them_too() {
    Folder::new().result("bench digits.tflite --num_runs=2 --warmup_runs=0 --num_threads=1");
    Folder::new().result("bench digits.tflite --runs 2 --warmup-runs 0 --num-threads 1");
}

#[test]
fn the_device_that_needs_nothing_is_always_listed() {
    let devices = Folder::new().json("devices --json");
    assert_eq!(devices[0]["device"], "in-process");
    assert_eq!(devices[0]["state"], "online");
    assert!(Folder::new().result("devices").contains("in-process"));
}
