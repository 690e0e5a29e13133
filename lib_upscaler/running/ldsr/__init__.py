"""LDSR on a picture: in the whole or in tiles, from noise to pixels.

``sampler`` runs it all, ``forecast`` says beforehand what it takes; ``denoiser`` asks the UNet tile by tile and puts
the answers together (``merging``), ``decoding`` makes pixels of the latent, ``noise`` draws for the whole canvas at
once, ``precision`` says whether a smaller one will do.
"""
