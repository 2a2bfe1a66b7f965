/** Version of this code, as decisions record it; released in lockstep with the packages. */
export const version = '0.1.0';
