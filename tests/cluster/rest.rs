//! REST at a gateway is the ingest's, and late data comes there too.

use serde_json::Value;

use crate::service::broker::Broker;
use crate::service::client::Client;
use crate::service::eventually::eventually;
use crate::service::process::Service;
use crate::service::program::tickwire;
use crate::service::run::run;
use crate::{KRAKEN, gateway, ingest};

each_broker! {
    shared:

    async fn what_rest_tells_is_what_the_ingest_tells(broker: Broker) {
        let ingest = ingest(&broker, ["--feed", KRAKEN, "--speed", "max"]);
        let gateway = gateway(&broker);
        eventually("the recording is over", || ingest.json("/health/ready")["feed"] == "ended");
        let instruments = ingest.json("/v1/instruments");
        assert_eq!(gateway.json("/v1/instruments"), instruments);
        let symbol = instruments["instruments"][0]["symbol"].as_str().expect("a name").replace('/', "%2F");
        for path in [
            "/v1/quotes".to_owned(),
            "/v1/tickers".to_owned(),
            format!("/v1/books/{symbol}?depth=100"),
            format!("/v1/trades/{symbol}?limit=50"),
            format!("/v1/bars/{symbol}?interval=1m"),
        ] {
            let answer = gateway.json(&path);
            assert_eq!(answer, ingest.json(&path), "{path}");
            assert_ne!(answer, Value::Null);
        }
        assert_eq!(gateway.metric("bus_subscriptions"), 0, "reading follows nothing");
    }

    async fn late_data_is_served_by_gateways_of_an_ingest_that_has_it_and_refused_by_others(broker: Broker) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tickwire.toml");
        std::fs::write(&file, LATE).expect("a file");
        let file = file.to_str().expect("text");
        let url = broker.url();
        let flags = ["--config", file, "--role", "gateway", "--bus", url];
        {
            let late = ingest(&broker, ["--sim-mode", "quotes", "--sim-instruments", "2", "--delay", "1s"]);
            let gateway = Service::start(flags);
            let mut client = Client::connect(gateway.address);
            client.subscribe("quote", &["SYM00000"]);
            client.until(|object| object["type"] == "update");
            let there = late.json("/v1/quotes?symbols=SYM00000")["quotes"][0]["ts_event"].clone();
            let here = gateway.json("/v1/quotes?symbols=SYM00000")["quotes"][0]["ts_event"].clone();
            let [there, here] = [there, here].map(|time| time.as_u64().expect("a time"));
            assert!(here + 500_000 < there, "{here} is not late at {there}");
        }
        let _real_time = ingest(&broker, ["--sim-instruments", "2"]);
        let refused = run(tickwire().args(["serve", "--listen", "127.0.0.1:0"]).args(flags));
        let told = String::from_utf8(refused.stderr).expect("UTF-8");
        assert_eq!(refused.status.code(), Some(1), "{told}");
        assert!(told.contains("roles = `late`") && told.contains("set `delay` there"), "{told}");
    }
}

const LATE: &str =
    "[anonymous]\nrole = \"late\"\n[roles.late]\nsymbols = [\"*\"]\nchannels = [\"quote\"]\ndelayed = true\n";
