//! The report as JUnit's XML, which most continuous integration systems show.

use std::io;
use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::report::{Outcome, Report, Verdict};

pub fn of(report: &Report) -> io::Result<String> {
    let mut suite = TestSuite::new("apu conformance");
    suite.add_property(("device", report.device.as_str()));
    suite.add_test_cases(report.rules.iter().map(case));
    let mut document = quick_junit::Report::new("apu conformance");
    document.add_test_suite(suite);
    document.to_string().map_err(io::Error::other)
}

fn case(verdict: &Verdict) -> TestCase {
    let seen = verdict.seen.as_deref().unwrap_or_default();
    let status = match verdict.outcome {
        Outcome::Ok => TestCaseStatus::success(),
        Outcome::Failed => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(seen);
            status.set_description(format!("{}\nwritten: {}", verdict.rule, verdict.written));
            status
        }
        Outcome::Ignored => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(seen);
            status
        }
    };
    let mut case = TestCase::new(verdict.name.as_str(), status);
    case.set_time(Duration::from_secs_f64(verdict.seconds));
    case
}
