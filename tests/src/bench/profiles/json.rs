//! Everything that was measured, for programs.

use super::options::ProfilesOptions;
use super::plan::Plan;
use super::records::{Key, Records};
use crate::bench::facts::Facts;
use serde_json::{Map, Value, json};

/// The report. Units are bits a second and seconds; shares are 0 to 1.
pub(super) fn report(
    options: &ProfilesOptions,
    facts: &Facts,
    plan: &Plan,
    records: &Records,
) -> Value {
    let mut cells = Vec::new();
    for profile in plan.profiles() {
        for traffic in plan.traffics_in(profile) {
            for carrier in plan.carriers.iter().filter(|carrier| traffic.goes_by(carrier)) {
                let key = Key { profile: profile.name, traffic, carrier: carrier.clone() };
                let mut figures = Map::new();
                for &figure in traffic.figures() {
                    if let Some(summary) = records.summary(&key, figure) {
                        let rounds = records.values(&key, figure);
                        let entry = json!({ "median": summary.median, "rounds": rounds });
                        figures.insert(figure.key().into(), entry);
                    }
                }
                let mut cell = json!({
                    "profile": profile.name,
                    "traffic": traffic,
                    "carrier": carrier.name(),
                    "figures": figures,
                });
                let failed: Vec<Value> = records
                    .failures(&key)
                    .map(|(round, reason)| json!({ "round": round, "reason": reason }))
                    .collect();
                if !failed.is_empty() {
                    cell["failed"] = json!(failed);
                }
                cells.push(cell);
            }
        }
    }
    let profiles: Vec<Value> = plan
        .profiles()
        .iter()
        .map(|profile| json!({ "name": profile.name, "links": profile.links }))
        .collect();
    json!({
        "machine": facts,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "warm_up": options.warm_up().as_secs_f64(),
        "beside": options.beside,
        "seed": options.seed,
        "profiles": profiles,
        "cells": cells,
    })
}
