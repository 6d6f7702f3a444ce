//! Sends spans by OTLP over HTTP, from a thread of its own. Nobody waits for a collector: what it does not take in time is
//! dropped, and counted.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use feeds::request;
use http_body_util::Full;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter as Otlp, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData, SpanExporter,
    SpanProcessor,
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::ClientConfig;
use tokio::time::timeout;
use tracing::{Level, info, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};

use super::collector::{Collector, Settings};
use crate::limits::{
    OTLP_ANSWER_BYTES_MAX, OTLP_BATCH_SPANS_MAX, OTLP_END_WAIT, OTLP_EVERY, OTLP_SPANS_WAITING_MAX, OTLP_WAIT,
};
use crate::metrics::Metrics;

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExporterError {
    /// Nobody is trusted who could prove to be the collector.
    #[error("otlp_endpoint: {0}")]
    Tls(String),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// What the environment says of exporters cannot be.
    #[error("what OTEL_EXPORTER_OTLP_* say cannot be: {0}")]
    Environment(#[from] ExporterBuildError),
}

/// The thread that exports. Dropped, it sends what waits, within a bound.
#[derive(Debug)]
pub struct Exporter {
    provider: SdkTracerProvider,
    tally: Arc<Tally>,
}

impl Exporter {
    /// Starts it. `metrics`: those of the service, once there is one.
    ///
    /// # Errors
    /// [`ExporterError`].
    pub fn start(settings: &Settings, metrics: &Arc<OnceLock<Metrics>>) -> Result<Self, ExporterError> {
        let tally = Arc::new(Tally { metrics: Arc::clone(metrics), ..Tally::default() });
        let fault = Arc::default();
        let sender = Sender { tls: tls(&settings.collector)?, fault: Arc::clone(&fault) };
        let otlp = Otlp::builder()
            .with_http()
            .with_http_client(sender)
            .with_endpoint(settings.collector.to_string())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(OTLP_WAIT)
            .build()?;
        let collector = settings.collector.clone();
        let counted =
            Counted { otlp, collector, tally: Arc::clone(&tally), fault, is_lost: AtomicBool::default() };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(OTLP_SPANS_WAITING_MAX)
            .with_max_export_batch_size(OTLP_BATCH_SPANS_MAX)
            .with_scheduled_delay(OTLP_EVERY)
            .build();
        let batches = BatchSpanProcessor::builder(counted).with_batch_config(batches).build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.ratio.get())));
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_resource(resource(&settings.role)?)
            .with_span_processor(Bounded { batches, tally: Arc::clone(&tally) })
            .build();
        Ok(Self { provider, tally })
    }

    /// Whether it could start.
    ///
    /// # Errors
    /// [`ExporterError`].
    pub fn check(settings: &Settings) -> Result<(), ExporterError> {
        tls(&settings.collector).map(drop)
    }

    /// What hands it the spans that are for it.
    #[must_use]
    pub fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        tracing_opentelemetry::layer::<Registry>()
            .with_tracer(self.provider.tracer(env!("CARGO_PKG_NAME")))
            .with_location(false)
            .with_tracked_inactivity(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_context_activation(false)
            .with_filter(Targets::new().with_target(feeds::TRACED, Level::INFO))
            .boxed()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        if self.provider.shutdown_with_timeout(OTLP_END_WAIT).is_err() {
            let spans = self.tally.waiting.load(Ordering::Relaxed);
            warn!(spans, "the collector has not taken the last spans in time: they are lost");
        }
    }
}

fn tls(collector: &Collector) -> Result<Option<Arc<ClientConfig>>, ExporterError> {
    collector.is_tls().then(feeds::live::tls::config).transpose().map_err(ExporterError::Tls)
}

/// What every span is of. OTEL_RESOURCE_ATTRIBUTES may say more.
fn resource(role: &str) -> Result<Resource, ExporterError> {
    let attributes = [
        KeyValue::new("service.name", env!("CARGO_PKG_NAME")),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance()?),
        KeyValue::new("tickwire.role", role.to_owned()),
    ];
    Ok(Resource::builder().with_attributes(attributes).build())
}

/// A random UUID, version 4.
fn instance() -> Result<String, ExporterError> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| ExporterError::Random)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = data_encoding::HEXLOWER.encode(&bytes);
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

/// What becomes of spans.
#[derive(Debug, Default)]
struct Tally {
    /// Those in the queue, and on their way from it.
    waiting: AtomicUsize,
    metrics: Arc<OnceLock<Metrics>>,
}

impl Tally {
    /// Whether the queue takes one more, which then counts as in it.
    fn take_place(&self) -> bool {
        let more = |waiting| (waiting < OTLP_SPANS_WAITING_MAX).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn dropped(&self, spans: usize) {
        if let Some(metrics) = self.metrics.get() {
            metrics.spans_dropped_total().add(spans as u64);
        }
    }

    fn sent(&self, spans: usize) {
        if let Some(metrics) = self.metrics.get() {
            metrics.spans_sent_total().add(spans as u64);
        }
    }
}

/// The library's queue, with a count of what it does not take.
#[derive(Debug)]
struct Bounded {
    batches: BatchSpanProcessor,
    tally: Arc<Tally>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.tally.take_place() {
            self.batches.on_end(span);
        } else {
            self.tally.dropped(1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, wait: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(wait)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// The library's exporter, which tries a batch again as OTLP has it, with a count of what was taken and what was not.
#[derive(Debug)]
struct Counted {
    otlp: Otlp,
    collector: Collector,
    tally: Arc<Tally>,
    fault: Arc<Mutex<String>>,
    /// The last batch was not taken.
    is_lost: AtomicBool,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let exported = self.otlp.export(batch).await;
        self.tally.waiting.fetch_sub(spans, Ordering::Relaxed);
        let was_lost = self.is_lost.swap(exported.is_err(), Ordering::Relaxed);
        match &exported {
            Ok(()) => {
                self.tally.sent(spans);
                if was_lost {
                    info!(collector = %self.collector, "the collector takes spans again");
                }
            }
            Err(_) => {
                self.tally.dropped(spans);
                if !was_lost {
                    let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    warn!(collector = %self.collector, fault, "the collector takes no spans: they are dropped until it does");
                }
            }
        }
        exported
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}

/// Our own client of HTTP for the library.
#[derive(Debug)]
struct Sender {
    tls: Option<Arc<ClientConfig>>,
    /// Why the last request was not answered as it should be: the library does not tell.
    fault: Arc<Mutex<String>>,
}

impl Sender {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // One for each batch: where a name is not resolved in time, the thread that does it is left behind with it.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let sent = request::send(request.map(Full::new), self.tls.as_ref(), OTLP_ANSWER_BYTES_MAX);
        let answer = runtime.block_on(async { timeout(OTLP_WAIT, sent).await });
        runtime.shutdown_background();
        Ok(answer.map_err(|_| format!("took longer than {} s", OTLP_WAIT.as_secs()))??)
    }
}

impl HttpClient for Sender {
    // As the library's thread waits for nothing else, it waits here.
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let answer = self.send(request);
        let fault = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("answered with {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        if let Some(fault) = fault {
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        }
        Box::pin(ready(answer))
    }
}
