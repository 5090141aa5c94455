"""The U-Net rearranged for a CPU: trained with fewer multiplications, and prepared for many Monte Carlo passes."""
