//! Administrators: each process knows its own connections, and a gateway's are tapped at the gateway.

use crate::service::broker::Broker;
use crate::service::client::Client;
use crate::service::program::tickwire;
use crate::service::run::run;
use crate::{ingest, start};

/// Whoever presents nothing is an administrator.
const SETTINGS: &str = "[anonymous]\nrole = \"operator\"\n[roles.operator]\nsymbols = [\"*\"]\n\
    channels = [\"quote\", \"trade\", \"book\", \"ticker\", \"bar\", \"status\"]\nadmin = true\n";

each_broker! {
    shared:

    async fn a_gateway_s_connections_are_listed_and_tapped_there(broker: Broker) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tickwire.toml");
        std::fs::write(&file, SETTINGS).expect("a file");
        let config = ["--config", file.to_str().expect("text")];
        let market = ["--sim-mode", "quotes", "--sim-instruments", "2", "--sim-rate", "20"];
        let ingest = ingest(&broker, config.into_iter().chain(market));
        let gateway = start("gateway", &broker, config);
        let mut client = Client::connect(gateway.address);
        client.subscribe("quote", &["SYM00001"]);
        let at_gateway = gateway.json("/v1/admin/connections")["connections"].clone();
        assert_eq!((at_gateway.as_array().map(Vec::len), &at_gateway[0]["topics"]), (Some(1), &1.into()));
        assert_eq!(ingest.json("/v1/admin/connections")["connections"].as_array().map(Vec::len), Some(0));
        let reading = std::thread::spawn(move || while client.try_until(|_| true).is_ok() {});
        let id = at_gateway[0]["id"].to_string();
        let url = format!("http://{}", gateway.address);
        let tap = ["tap", &url, "--connection", &id, "--count", "20"];
        let output = run(tickwire().args(tap));
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && shown.contains(r#""type":"update","symbol":"SYM00001""#), "{output:?}");
        drop(gateway);
        reading.join().expect("it has proven what it got");
    }
}
