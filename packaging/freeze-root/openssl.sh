# TLS and digests for CPython's ssl and hashlib. Left out: what neither uses (DTLS, QUIC, CMP, CMS, time stamps, engines)
# and ciphers nobody should. The default places of certificates are Debian's, which many distributions follow.
case $ARCHITECTURE in
    amd64) platform=linux-x86_64 ;;
    arm64) platform=linux-aarch64 ;;
esac
./Configure "$platform" --prefix="$PREFIX" --libdir=lib --openssldir=/etc/ssl shared enable-ec_nistp_64_gcc_128 \
    no-apps no-docs no-tests no-module no-legacy no-engine no-cmp no-cms no-comp no-ct no-dtls no-http no-quic no-srp no-ts \
    no-aria no-bf no-camellia no-cast no-ec2m no-gost no-idea no-md4 no-mdc2 no-rc2 no-rc4 no-seed no-slh-dsa \
    no-sm2 no-sm3 no-sm4 no-whirlpool
make -j"$JOBS" build_generated libcrypto.so libssl.so
mkdir -p "$PREFIX/lib" "$PREFIX/include"
cp -a libcrypto.so* libssl.so* "$PREFIX/lib/"
cp -r include/openssl "$PREFIX/include/"
