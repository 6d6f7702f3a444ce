//! The cryptography of tokens: ring's, which TLS has brought already. HS256, RS256 and EdDSA (Ed25519), and no more:
//! what is not here cannot be asked for.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::hmac;
use ring::signature::{
    ED25519, Ed25519KeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // Of keys that are made into JWKs, or hashed: ours are read only.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has jsonwebtoken use it. To be called before a key is used.
pub(super) fn install() {
    // An error means that it has been installed before.
    let _ = PROVIDER.install_default();
}

/// The public half of a private key of Ed25519.
pub(super) fn ed25519_public(key: &EncodingKey) -> Option<Vec<u8>> {
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.as_bytes()).ok()?;
    Some(pair.public_key().as_ref().to_vec())
}

/// Bits of the modulus of an RSA key.
pub(super) fn rsa_bits(key: &DecodingKey) -> Option<usize> {
    let modulus = match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => &n[..],
        // RSAPublicKey of RFC 8017: SEQUENCE { modulus INTEGER, publicExponent INTEGER }.
        DecodingKeyKind::SecretOrDer(der) => element(0x02, element(0x30, der)?)?,
    };
    let significant = modulus.iter().position(|&byte| byte != 0).map_or(&[][..], |first| &modulus[first..]);
    let unused = significant.first().map_or(0, |first| first.leading_zeros() as usize);
    Some(significant.len() * 8 - unused)
}

/// The content of the first element of DER, if it has that tag.
fn element(tag: u8, der: &[u8]) -> Option<&[u8]> {
    let (&[found, length], rest) = der.split_first_chunk()?;
    let (length, rest) = match length {
        ..=0x7f => (usize::from(length), rest),
        0x81 => rest.split_first().map(|(&length, rest)| (length.into(), rest))?,
        0x82 => rest.split_first_chunk().map(|(&length, rest)| (u16::from_be_bytes(length).into(), rest))?,
        _ => return None,
    };
    rest.get(..length).filter(|_| found == tag)
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Ok(match (algorithm, key.family()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac) => {
            Box::new(Hmac(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())))
        }
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.as_bytes());
            Box::new(Ed25519(pair.map_err(|_| ErrorKind::InvalidEddsaKey)?))
        }
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    })
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    Ok(match (algorithm, key.family()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac) => {
            Box::new(Hmac(hmac::Key::new(hmac::HMAC_SHA256, key.try_get_as_bytes()?)))
        }
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => {
            Box::new(Ed25519Public(UnparsedPublicKey::new(&ED25519, key.try_get_as_bytes()?.to_vec())))
        }
        (Algorithm::RS256, AlgorithmFamily::Rsa) => Box::new(RsaPublic(key.clone())),
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    })
}

struct Hmac(hmac::Key);

impl Signer<Vec<u8>> for Hmac {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl JwtSigner for Hmac {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl Verifier<Vec<u8>> for Hmac {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        // In a time that does not depend on how much of it is right.
        hmac::verify(&self.0, message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Hmac {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

struct Ed25519(Ed25519KeyPair);

impl Signer<Vec<u8>> for Ed25519 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for Ed25519 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct Ed25519Public(UnparsedPublicKey<Vec<u8>>);

impl Verifier<Vec<u8>> for Ed25519Public {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        self.0.verify(message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Ed25519Public {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct RsaPublic(DecodingKey);

impl Verifier<Vec<u8>> for RsaPublic {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        match self.0.kind() {
            DecodingKeyKind::SecretOrDer(der) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).verify(message, signature)
            }
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        }
        .map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for RsaPublic {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}
