"""Licences of the parts: read from modules, wheels and libraries, and written as notices and SBOM."""
