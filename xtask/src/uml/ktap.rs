//! The kernel's unit tests, as they report in its log: the Kernel Test Anything Protocol.

/// How many cases there were. Suites are no cases.
#[derive(Debug, Default, PartialEq)]
pub struct Tally {
    /// Passed.
    pub ok: usize,
    /// Names of those that did not pass, with their suites.
    pub not_ok: Vec<String>,
    /// Could not be run.
    pub skipped: usize,
}

/// One result line.
struct Line<'a> {
    depth: usize,
    ok: bool,
    name: &'a str,
    skipped: bool,
}

/// Counts the cases in a kernel log. A result that follows deeper ones is that of their suite.
pub fn count(log: &str) -> Tally {
    let mut tally = Tally::default();
    let mut last_depth = 0;
    for line in log.lines().filter_map(parse) {
        let is_case = line.depth >= last_depth;
        last_depth = line.depth;
        match (is_case, line.ok, line.skipped) {
            (true, true, true) => tally.skipped += 1,
            (true, true, false) => tally.ok += 1,
            // A suite that failed by itself has no case that says so.
            (true | false, false, _) => tally.not_ok.push(line.name.to_owned()),
            (false, true, _) => {}
        }
    }
    tally
}

fn parse(line: &str) -> Option<Line<'_>> {
    let line = line.trim_end();
    let text = match line.strip_prefix('[') {
        Some(stamped) => stamped.split_once("] ")?.1,
        None => line,
    };
    let result = text.trim_start();
    let depth = (text.len() - result.len()) / 4;
    let (ok, rest) = match result.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, result.strip_prefix("ok ")?),
    };
    let (number, name) = rest.split_once(' ')?;
    number.parse::<u32>().ok()?;
    Some(Line {
        depth,
        ok,
        name,
        skipped: name.contains("# SKIP"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "[    0.1] KTAP version 1\r\n[    0.1] 1..2\r\n\
        [    0.1]     KTAP version 1\n[    0.1]     # Subtest: rust_doctests_kernel\n[    0.1]     1..3\n\
        [    0.2]     # rust_doctest_kernel_fence_0: 1..1 lines\n[    0.2]     ok 1 rust_doctest_kernel_fence_0\r\n\
        [    0.3]     not ok 2 rust_doctest_kernel_fence_1\r\n[    0.3]     ok 3 needs_smp # SKIP one processor\r\n\
        [    0.3] # rust_doctests_kernel: pass:1 fail:1 skip:1 total:3\n[    0.3] not ok 1 rust_doctests_kernel\n\
        [    0.3]         KTAP version 1\n[    0.3]         ok 1 param\n[    0.3]     ok 1 with_params\n\
        [    0.4] ok 2 apu\n[    0.5] it is ok 1 way\n";

    #[test]
    fn cases_are_counted_and_suites_are_not() {
        let tally = count(LOG);
        assert_eq!((tally.ok, tally.skipped), (2, 1));
        assert_eq!(
            tally.not_ok,
            ["rust_doctest_kernel_fence_1", "rust_doctests_kernel"]
        );
    }

    #[test]
    fn a_log_without_tests_has_none() {
        assert_eq!(count("[    0.1] Linux version 7.3.4\n"), Tally::default());
    }
}
