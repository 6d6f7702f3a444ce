//! Plays recordings.
