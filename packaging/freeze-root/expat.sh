# XML for CPython's pyexpat. Debian's CPython leaves its own copy of expat aside, so that only this one is corrected.
cd expat/lib
cat >expat_config.h <<END
#define BYTEORDER 1234
#define HAVE_GETRANDOM
#define XML_CONTEXT_BYTES 1024
#define XML_DEV_URANDOM
#define XML_DTD
#define XML_GE 1
#define XML_NS
END
gcc -O2 -g0 -fPIC -shared -fvisibility=hidden -DXML_ENABLE_VISIBILITY=1 -Wl,-soname,libexpat.so.1 -o libexpat.so.1 \
    xmlparse.c xmlrole.c xmltok.c random_dev_urandom.c random_getrandom.c
mkdir -p "$PREFIX/lib" "$PREFIX/include"
cp libexpat.so.1 "$PREFIX/lib/"
ln -s libexpat.so.1 "$PREFIX/lib/libexpat.so"
cp expat.h expat_external.h expat_config.h "$PREFIX/include/"
