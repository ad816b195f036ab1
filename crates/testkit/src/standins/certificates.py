# Writes a certificate authority of its own and a certificate for 127.0.0.1 that it has signed into the folder named by
# the first argument: ca.pem, leaf.pem, key.pem.
import datetime
import ipaddress
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

folder = pathlib.Path(sys.argv[1])
now = datetime.datetime.now(datetime.timezone.utc)


def certificate(name, key, issuer, issuer_key, extensions):
    named = lambda name: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


authority, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
ca = certificate("tests", authority, "tests", authority, [(x509.BasicConstraints(ca=True, path_length=0), True)])
signed = certificate("127.0.0.1", leaf, "tests", authority, [(address, False)])
key = leaf.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
for name, content in [("ca.pem", ca), ("leaf.pem", signed), ("key.pem", key)]:
    (folder / name).write_bytes(content)
