# CPython as PyInstaller needs it: a shared library, and no search path in any file (the linker's cache knows the prefix).
# What a frozen program's start spends is saved where it costs nothing: calls inside that library are bound when it is
# made, and the two modules that every start needs are in it. Profile-guided optimization gained no more (DECISIONS.md).
ldconfig
printf '*static*\n_struct _struct.c\nzlib zlibmodule.c -lz\n' >Modules/Setup.local
./configure --prefix="$PREFIX" --enable-shared --without-static-libpython --without-ensurepip \
    --disable-test-modules --with-openssl="$PREFIX" ac_cv_posix_semaphores_enabled=yes \
    OPT="-DNDEBUG -g0 -O3 -Wall" CFLAGS_NODIST="-fno-semantic-interposition" \
    LDFLAGS_NODIST="-fno-semantic-interposition -Wl,-O1 -Wl,-Bsymbolic-functions" \
    --with-system-expat LIBEXPAT_CFLAGS="-I$PREFIX/include" LIBEXPAT_LDFLAGS="-L$PREFIX/lib -lexpat" \
    LIBSQLITE3_CFLAGS="-I$PREFIX/include" LIBSQLITE3_LIBS="-L$PREFIX/lib -lsqlite3"
make -j"$JOBS"
make install COMPILEALL_OPTS="-j$JOBS --invalidation-mode=unchecked-hash"
ldconfig
# An optional module that could not be built is left out without a word: say it here.
"$PREFIX/bin/python3.13" -c "import _bz2, _ctypes, _hashlib, _lzma, _multiprocessing, _sqlite3, _ssl, _uuid, pyexpat, zlib"
# What neither runs nor freezes a program.
cd "$PREFIX"
find lib -name "*.opt-[12].pyc" -delete
rm -rf include share/man bin/idle3* bin/pydoc3* bin/*-config lib/*.so lib/pkgconfig lib/python3.13/test \
    lib/python3.13/idlelib lib/python3.13/tkinter lib/python3.13/turtledemo
