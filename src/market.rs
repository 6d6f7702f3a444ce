//! Events to states and changes.
