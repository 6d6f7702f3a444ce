//! Exchange captures: JSON lines in the envelope of the cryptofeed project.
