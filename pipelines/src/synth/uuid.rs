//! Event ids: random uuids, written as text by table. Called by `history`.

const HEX_PAIRS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

/// The length of a uuid as text.
pub(super) const UUID_LENGTH: usize = 36;

/// Where the 16 bytes of a uuid stand in its text.
const UUID_PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// Appends 122 random bits as a version 4 uuid (RFC 9562).
#[inline]
pub(super) fn push_uuid(text: &mut Vec<u8>, [high, low]: [u64; 2]) {
    let high = high & !0xf000 | 0x4000;
    let low = low & !(3 << 62) | 1 << 63;
    let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    let mut uuid = [b'-'; UUID_LENGTH];
    for (place, byte) in UUID_PLACES.into_iter().zip(bytes) {
        uuid[place..place + 2].copy_from_slice(&HEX_PAIRS[usize::from(byte)]);
    }
    text.extend_from_slice(&uuid);
}

#[cfg(test)]
mod tests {
    use super::push_uuid;

    #[test]
    fn uuids_are_of_version_four() {
        let mut text = Vec::new();
        push_uuid(&mut text, [u64::MAX, 0]);
        push_uuid(&mut text, [0, u64::MAX]);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "ffffffff-ffff-4fff-8000-00000000000000000000-0000-4000-bfff-ffffffffffff"
        );
    }
}
