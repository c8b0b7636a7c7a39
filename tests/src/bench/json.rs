//! Everything that was measured, for programs.

use super::facts::Facts;
use super::goals::Goal;
use super::metric::Metric;
use super::options::BenchOptions;
use super::records::{Key, Records};
use super::tunnels::Tunnel;
use serde_json::{Map, Value, json};

/// The report. Units are bits a second, datagrams a second, seconds and bytes.
pub(crate) fn report(
    options: &BenchOptions,
    facts: &Facts,
    records: &Records,
    tunnels: &[Tunnel],
    goals: &[Goal],
) -> Value {
    let mut passes = Vec::new();
    for pass in options.passes() {
        let mut of_pass = Map::new();
        for tunnel in tunnels {
            let tunnel = tunnel.name;
            let mut figures = Map::new();
            for metric in Metric::ALL {
                let key = Key { pass, tunnel, metric };
                let values: Vec<f64> = records.values(key).collect();
                let mut figure = Map::new();
                if let Some(summary) = records.summary(key) {
                    figure.insert("median".into(), json!(summary.median));
                    figure.insert("rounds".into(), json!(values));
                }
                if let Some(reason) = records.failure(key) {
                    figure.insert("failed".into(), json!(reason));
                }
                if !figure.is_empty() {
                    figures.insert(name(metric), Value::Object(figure));
                }
            }
            let mut entry = json!({ "figures": figures });
            if let Some(mtu) = records.mtus.get(&(pass, tunnel)) {
                entry["mtu"] = json!(mtu);
            }
            if let Some(reason) = records.absent.get(&(pass, tunnel)) {
                entry["failed"] = json!(reason);
            }
            of_pass.insert(tunnel.into(), entry);
        }
        passes.push(json!({ "pass": pass, "tunnels": of_pass }));
    }
    json!({
        "machine": facts,
        "rounds": options.rounds(),
        "seconds": options.seconds,
        "passes": passes,
        "goals": goals,
    })
}

/// The metric's key.
fn name(metric: Metric) -> String {
    json!(metric).as_str().unwrap_or_default().to_owned()
}
