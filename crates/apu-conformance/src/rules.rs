//! All rules, by area.

mod bind;
mod bind_async;
mod bo;
mod fault;
mod fdinfo;
mod isolation;
mod limits;
mod power;
mod prime;
mod priority;
mod query;
mod queue;
mod recovery;
mod reservation;
mod submit;
mod sync;
mod vm;

use crate::rule::Rule;

/// Addresses that no process has mapped.
const NOWHERE: u64 = 0x1000;
/// A name that nothing has.
const UNKNOWN: u32 = 0x7fff_fff0;

/// Every rule, what is simple first.
pub fn rules() -> Vec<Rule> {
    [
        query::RULES,
        bo::RULES,
        vm::RULES,
        bind::RULES,
        bind_async::RULES,
        queue::RULES,
        submit::RULES,
        sync::RULES,
        limits::RULES,
        fault::RULES,
        recovery::RULES,
        isolation::RULES,
        priority::RULES,
        fdinfo::RULES,
        prime::RULES,
        reservation::RULES,
        power::RULES,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_sentences_short() {
        let mut names = HashSet::new();
        for rule in rules() {
            assert!(names.insert(rule.id()), "{} is there twice", rule.id());
            let sentence = rule.sentence();
            assert!(
                sentence.len() <= 120 && !sentence.ends_with('.'),
                "{sentence}"
            );
        }
    }

    #[test]
    fn a_rule_is_written_where_it_says() {
        const HEADER: &str = include_str!("../../../kernel/include/uapi/drm/apu_accel.h");
        for rule in rules()
            .iter()
            .filter(|rule| rule.written.starts_with("drm_apu_"))
        {
            let (structure, field) = rule.written.split_once('.').unwrap_or((rule.written, ""));
            let from = [
                format!("struct {structure} {{"),
                format!("enum {structure} {{"),
            ]
            .iter()
            .find_map(|begin| HEADER.find(begin.as_str()));
            let text =
                &HEADER[from.unwrap_or_else(|| panic!("no {structure} for {}", rule.id()))..];
            let text = &text[..text.find("\n};").unwrap()];
            let documented = field.is_empty() || text.contains(&format!("@{field}:"));
            assert!(documented, "{}: no {}", rule.id(), rule.written);
        }
    }
}
