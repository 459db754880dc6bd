//! `apu conformance`: does a device keep the rules?

mod junit;
mod report;

use std::fs;
use std::io::{Write, stdout};
use std::path::Path;
use std::time::Instant;

use apu::{Device, DeviceState};
use apu_conformance::Rule;

use crate::args::Conformance;
use crate::console::Console;
use crate::error::Error;
use report::{Report, Verdict};

pub fn run(args: &Conformance, console: &Console) -> Result<(), Error> {
    let all = apu_conformance::rules();
    // Without a device the first word is a filter already.
    let (device, filters) = match &args.device {
        Some(device) if !args.list || device.is_absolute() => {
            (device.as_path(), args.filters.clone())
        }
        first => {
            let first = first.iter().map(|word| word.display().to_string());
            (
                Path::new(""),
                first.chain(args.filters.iter().cloned()).collect(),
            )
        }
    };
    let wanted = |rule: &&Rule| {
        let id = rule.id();
        filters.is_empty()
            || filters.iter().any(|filter| {
                if args.exact {
                    id == *filter
                } else {
                    id.contains(filter.as_str())
                }
            })
    };
    let rules: Vec<Rule> = all.iter().filter(wanted).copied().collect();
    if rules.is_empty() {
        return Err(Error::NoRule {
            filters: filters.join(", "),
        });
    }
    if args.list {
        return list(&rules);
    }
    let name = device.display().to_string();
    let mut report = Report::new(identify(&name)?, all.len() - rules.len());
    check(&rules, device, &mut report, args.json, console)?;
    if let Some(path) = &args.junit {
        let written = junit::of(&report).and_then(|text| fs::write(path, text));
        written.map_err(|source| Error::Write {
            path: path.clone(),
            source,
        })?;
    }
    if args.json {
        super::print_json(&report)?;
    } else {
        report.print_result()?;
    }
    match report.failed {
        0 => Ok(()),
        broken => Err(Error::Broken {
            broken,
            checked: rules.len(),
            device: name,
        }),
    }
}

fn list(rules: &[Rule]) -> Result<(), Error> {
    let mut out = stdout().lock();
    for rule in rules {
        writeln!(out, "{}: test", rule.id())?;
    }
    Ok(writeln!(out, "\n{} tests, 0 benchmarks", rules.len())?)
}

/// What is behind the node. Without firmware there is nothing to check.
fn identify(name: &str) -> Result<String, Error> {
    if name == Device::IN_PROCESS {
        return Err(Error::NoNode);
    }
    let info = Device::open(name).and_then(|device| device.info());
    let info = info.map_err(Error::device(name))?;
    if info.state == DeviceState::Lost {
        return Err(Error::device(name)(apu::Error::DeviceLost));
    }
    let cores = if info.core_count == 1 {
        "core"
    } else {
        "cores"
    };
    let (driver, target, count) = (info.driver, info.target, info.core_count);
    Ok(format!(
        "{name}: driver {driver}, target {target}, {count} {cores}"
    ))
}

fn check(
    rules: &[Rule],
    device: &Path,
    report: &mut Report,
    quiet: bool,
    console: &Console,
) -> Result<(), Error> {
    if !quiet {
        report.print_device()?;
    }
    let mut area = None;
    for rule in rules {
        let begin = Instant::now();
        let kept = console.step(&rule.id(), || rule.check(device));
        let verdict = Verdict::new(rule, kept, begin.elapsed());
        if !quiet {
            if area.replace(rule.area) != Some(rule.area) {
                writeln!(stdout(), "\n{}", rule.area)?;
            }
            verdict.print()?;
        }
        report.add(verdict);
    }
    Ok(())
}
