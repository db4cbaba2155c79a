//! How many bytes, and their blake3: what a manifest says of a file. Called by `dataset`
//! here, and by the sources for their input files.

use std::io::{self, Read};

/// The length of some bytes and their blake3 in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// How many.
    pub bytes: u64,
    /// Their hash, 64 hex digits.
    pub blake3: String,
}

impl Digest {
    /// Reads to the end.
    pub fn of(mut bytes: impl Read) -> io::Result<Digest> {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            match bytes.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => hasher.update(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
        }
        Ok(Digest {
            bytes: hasher.count(),
            blake3: hasher.finalize().to_hex().to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn it_is_the_hash_of_the_whole() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| (i * 7 % 251) as u8).collect();
        let digest = Digest::of(bytes.as_slice()).unwrap();
        assert_eq!(digest.bytes, 1_000_000);
        assert_eq!(digest.blake3, blake3::hash(&bytes).to_hex().to_string());
    }
}
