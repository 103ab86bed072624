# CPython as PyInstaller needs it: a shared library, and no search path in any file (the linker's cache knows /opt).
# The symbols of the library bind to itself, so that calls inside it cost no lookup: 1 ms of a start.
ldconfig
./configure --prefix=/opt/python3.13 --enable-shared --without-static-libpython --with-ensurepip=install \
    --disable-test-modules --with-openssl=/opt/python3.13 ac_cv_posix_semaphores_enabled=yes \
    OPT="-DNDEBUG -g0 -O3 -Wall" CFLAGS_NODIST="-fno-semantic-interposition" \
    LDFLAGS_NODIST="-fno-semantic-interposition -Wl,-O1 -Wl,-Bsymbolic-functions" \
    LIBSQLITE3_CFLAGS=-I/opt/python3.13/include LIBSQLITE3_LIBS="-L/opt/python3.13/lib -lsqlite3"
make -j"$JOBS"
make install COMPILEALL_OPTS="-j$JOBS --invalidation-mode=unchecked-hash"
ldconfig
# An optional module that could not be built is left out without a word: say it here.
/opt/python3.13/bin/python3.13 -c "import _bz2, _ctypes, _hashlib, _lzma, _multiprocessing, _sqlite3, _ssl, _uuid, zlib"
# What neither runs nor freezes a program.
cd /opt/python3.13
find lib -name "*.opt-[12].pyc" -delete
rm -rf include share lib/*.so lib/pkgconfig lib/python3.13/test lib/python3.13/idlelib lib/python3.13/tkinter \
    lib/python3.13/turtledemo lib/python3.13/lib-dynload/_test*
