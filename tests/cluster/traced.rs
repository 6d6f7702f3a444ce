//! What a collector of traces is told of the connection to a broker.

use crate::service::broker::Broker;
use crate::service::collector::{Collector, Span};
use crate::service::eventually::eventually;
use crate::service::signal::signal;
use crate::{QUIET_MARKET, ingest};

each_broker! {
    own:

    async fn each_connection_to_the_bus_is_a_span_of_a_collector(mut broker: Broker) {
        let collector = Collector::start();
        let url = collector.url();
        let mut ingest = ingest(&broker, QUIET_MARKET.into_iter().chain(["--otlp-endpoint", &url]));
        broker.kill();
        let lost = collector.span("one that was lost", |span| span.name == "bus connection");
        assert_eq!((lost.kind, lost.status), (3, 2), "a client's, and an error: {lost:?}");
        assert!(!lost.told.is_empty(), "{lost:?}");
        assert_eq!(lost.attributes["tickwire.client"], "tickwire ingest");
        let (address, port) = (&lost.attributes["server.address"], &lost.attributes["server.port"]);
        assert!(broker.url().contains(&format!("{address}:{port}")), "{lost:?}");
        assert_eq!(lost.resource["tickwire.role"], "ingest");

        broker.start_again();
        eventually("it is connected anew", || ingest.metric("bus_reconnects_total") == 1);
        signal(&ingest.child, "TERM");
        assert!(ingest.child.wait().expect("it ends").success(), "{}", ingest.log());
        let is_whole = |span: &&Span| span.name == "bus connection" && span.status == 0;
        assert_eq!(collector.spans().iter().filter(is_whole).count(), 1, "{:?}", collector.spans());
    }
}
