//! QUERY.

use nix::errno::Errno;

use super::NOWHERE;
use crate::rule::{Area::Query as AREA, Rule};
use crate::uapi::{Query, QueryDevice};
use crate::unproven::{Succeeds, holds, same};

pub(super) const RULES: &[Rule] = &[
    Rule::refused(
        AREA,
        "of_an_unknown_type",
        "drm_apu_query.type",
        Errno::EINVAL,
        |t| t.node.query(99, &mut [0; 8]).map(drop),
    ),
    Rule::refused(
        AREA,
        "into_memory_that_is_not_there",
        "drm_apu_query.data",
        Errno::EFAULT,
        |t| {
            t.node.call(&mut Query {
                kind: 0,
                size: 8,
                data: NOWHERE,
            })
        },
    ),
    Rule::kept(
        AREA,
        "limits_are_of_use",
        "drm_apu_query_device.max_segments",
        "QUERY_DEVICE says limits that a client can work with",
        |t| {
            let limits = &t.device;
            let enough = limits.max_jobs > 1 && limits.max_syncs > 1 && limits.max_segments > 3;
            let paged = limits.page_size.is_power_of_two() && limits.max_timeout_ms > 5000;
            holds(enough && paged, || format!("{limits:?}"))
        },
    ),
    Rule::kept(
        AREA,
        "without_data_tells_the_size",
        "drm_apu_query.size",
        "QUERY without data returns the size of what the kernel knows",
        |t| {
            let mut query = Query::default();
            t.node.call(&mut query).succeeds("QUERY")?;
            holds(query.size as usize >= size_of::<QueryDevice>(), || {
                format!("{} bytes", query.size)
            })
        },
    ),
    Rule::kept(
        AREA,
        "fills_what_is_known_and_zeroes_the_rest",
        "drm_apu_query.size",
        "QUERY writes the smaller of both sizes and zeroes what it doesn't know",
        |t| {
            let mut known = Query::default();
            t.node.call(&mut known).succeeds("QUERY")?;
            let mut long = [0xaa; 512];
            same("size", t.node.query(0, &mut long), Ok(known.size))?;
            let rest = long.iter().skip(known.size as usize);
            same(
                "bytes past the known ones that aren't 0",
                rest.filter(|byte| **byte != 0).count(),
                0,
            )?;
            let mut short = [0xaa; 12];
            let (head, tail) = short.split_at_mut(8);
            same("size", t.node.query(0, head), Ok(known.size))?;
            same("bytes past those that were given", &*tail, &[0xaa; 4][..])?;
            same("the first bytes", &*head, &long[..8])
        },
    ),
];
