"""Signatures of images: made with every kind of key that clients use, and refused for every reason there is."""

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.x509.oid import NameOID

from moorage.drivers.certificates.directory import DirectoryCertificates
from moorage.images.signatures.certificates import CertificateMissing
from moorage.images.signatures.claim import HASHES, PROPERTIES, SIGNATURE, SignatureRefused, claimed
from moorage.images.signatures.signature import verify, witness

DATA = b"the bytes of an image" * 5000
ID = "5e75e75e-0000-4000-8000-000000000001"
DAY = timedelta(days=1)

KEYS: dict[str, Any] = {
    "RSA-PSS": rsa.generate_private_key(65537, 2048),
    "DSA": dsa.generate_private_key(2048),
    "ECC_SECP384R1": ec.generate_private_key(ec.SECP384R1()),
    "ECC_SECP521R1": ec.generate_private_key(ec.SECP521R1()),
}


def certificate(key: Any, since: timedelta = -DAY, until: timedelta = DAY, pem: bool = True) -> bytes:
    """A certificate of this key, signed by a key of its own."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "images")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + since)
        .not_valid_after(now + until)
        .sign(KEYS["RSA-PSS"], hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM if pem else serialization.Encoding.DER)


def signed(data: bytes, key_type: str, hash_method: str = "SHA-256") -> dict[str, str | None]:
    """The properties that a client sets for `data`."""
    key, algorithm = KEYS[key_type], getattr(hashes, hash_method.replace("-", ""))()
    if key_type == "RSA-PSS":
        made = key.sign(data, padding.PSS(padding.MGF1(algorithm), padding.PSS.MAX_LENGTH), algorithm)
    elif key_type == "DSA":
        made = key.sign(data, algorithm)
    else:
        made = key.sign(data, ec.ECDSA(algorithm))
    return dict(zip(PROPERTIES, (base64.b64encode(made).decode(), hash_method, key_type, ID), strict=True))


@pytest.fixture
def store(tmp_path) -> Callable[..., DirectoryCertificates]:
    def keep(data: bytes, name: str = f"{ID}.pem") -> DirectoryCertificates:
        (tmp_path / name).write_bytes(data)
        return DirectoryCertificates(tmp_path)

    return keep


def watch(properties, certificates, data: bytes = DATA) -> dict[str, str]:
    seen = witness(properties, certificates)
    assert seen is not None
    for start in range(0, len(data), 4099):
        seen.update(data[start : start + 4099])
    return seen.finish()


@pytest.mark.parametrize("hash_method", HASHES)
@pytest.mark.parametrize("key_type", KEYS)
def test_a_signature_is_good_for_its_data_alone(store, key_type, hash_method):
    certificates = store(certificate(KEYS[key_type]))
    properties = signed(DATA, key_type, hash_method)
    algorithm = HASHES[hash_method]
    digest = hashlib.new(algorithm, DATA)
    assert watch(properties, certificates) == {algorithm: digest.hexdigest()}
    verify(claimed(properties), digest.digest(), certificates)
    for other in (DATA[:-1], DATA + b"\0", b""):
        with pytest.raises(SignatureRefused, match="not that of these data") as refusal:
            watch(properties, certificates, other)
        assert refusal.value.status == 400


@pytest.mark.parametrize("name", [f"{ID}.pem", f"{ID}.crt", f"{ID}.cer", f"{ID}.der"])
@pytest.mark.parametrize("pem", [True, False])
def test_a_certificate_is_found_by_its_id_in_either_encoding(store, name, pem):
    assert watch(signed(DATA, "RSA-PSS"), store(certificate(KEYS["RSA-PSS"], pem=pem), name))


@pytest.mark.parametrize("missing", PROPERTIES)
def test_an_image_that_lacks_one_of_the_properties_claims_nothing(missing, store):
    properties = signed(DATA, "RSA-PSS")
    for value in (None, ""):
        assert claimed({**properties, missing: value}) is None
        assert witness({**properties, missing: value}, None) is None


BAD = {
    # what                    changed properties                                  says
    "hash":             ({"img_signature_hash_method": "MD5"},                    "img_signature_hash_method"),
    "hash in small":    ({"img_signature_hash_method": "sha-256"},                "img_signature_hash_method"),
    "key type":         ({"img_signature_key_type": "RSA"},                       "img_signature_key_type"),
    "obsolete":         ({"img_signature_key_type": "ECC_SECT571K1"},             "any more"),
    "another key type": ({"img_signature_key_type": "DSA"},                       "not of the type"),
    "another curve":    ({"img_signature_key_type": "ECC_SECP384R1"},             "not of the type"),
    "no base64":        ({"img_signature": "####"},                               "base64"),
    "empty signature":  ({"img_signature": "AAAA"},                               "not that of these data"),
    "another hash":     ({"img_signature_hash_method": "SHA-512"},                "not that of these data"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "says"), BAD.values(), ids=BAD.keys())
def test_a_claim_that_does_not_hold_is_refused(store, changes, says):
    with pytest.raises(SignatureRefused, match=says):
        watch({**signed(DATA, "RSA-PSS"), **changes}, store(certificate(KEYS["RSA-PSS"])))


def test_a_signature_by_another_key_is_refused(store):
    other = rsa.generate_private_key(65537, 2048)
    with pytest.raises(SignatureRefused, match="not that of these data"):
        watch(signed(DATA, "RSA-PSS"), store(certificate(other)))


@pytest.mark.parametrize(("since", "until"), [(-2 * DAY, -DAY), (DAY, 2 * DAY)])
def test_a_certificate_counts_only_in_its_time(store, since, until):
    with pytest.raises(SignatureRefused, match="not valid at this time"):
        watch(signed(DATA, "RSA-PSS"), store(certificate(KEYS["RSA-PSS"], since, until)))


@pytest.mark.parametrize("data", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_certificate_that_is_none_is_refused(store, data):
    with pytest.raises(SignatureRefused, match="cannot be read"):
        watch(signed(DATA, "RSA-PSS"), store(data))


@pytest.mark.parametrize("id", ["../" + ID, "/etc/passwd", ID[:-1], ID[:-1] + "2", "", "x" * 500])
def test_no_id_leads_out_of_the_directory(store, id):
    certificates = store(certificate(KEYS["RSA-PSS"]))
    with pytest.raises(CertificateMissing):
        certificates.certificate(id)


def test_a_signed_image_without_a_key_manager_is_refused():
    with pytest.raises(SignatureRefused, match="no key manager"):
        witness(signed(DATA, "RSA-PSS"), None)


def test_a_signature_may_be_broken_into_lines(store):
    properties = signed(DATA, "RSA-PSS")
    text = str(properties[SIGNATURE])
    properties[SIGNATURE] = "\n".join(text[i : i + 64] for i in range(0, len(text), 64)) + "\n"
    assert watch(properties, store(certificate(KEYS["RSA-PSS"])))
