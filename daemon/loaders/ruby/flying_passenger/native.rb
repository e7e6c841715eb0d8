# frozen_string_literal: true

require_relative 'native_key'
require_relative 'request_handler'

module FlyingPassenger
  # Native support: an object in C for the usual requests and responses, if one was built for exactly this interpreter.
  # Everything that is unusual is left to the Ruby code.
  module Native
    OBJECT = 'flying_passenger_native.so'

    module_function

    # Loads the object. Returns nil, or the reason why it is not used. `offer` is the directory of the objects for these
    # loaders, or the daemon's own reason.
    def load(offer)
      return offer || 'the daemon offers none' unless offer&.start_with?('/')

      object = File.join(offer, NATIVE_KEY, OBJECT)
      File.stat(object)
      require object
      require_relative 'native_request_handler'
      nil
    rescue Errno::ENOENT, Errno::ENOTDIR
      "not built for #{NATIVE_KEY}"
    rescue LoadError, StandardError => e
      "cannot load #{object}: ".b << cause(e, object)
    end

    # Why the object cannot be loaded. Messages name it at their beginning, at their end, or twice.
    def cause(error, object)
      return 'permission denied' if error.is_a?(Errno::EACCES)

      error.message.b.gsub(object.b, '').sub(/\A[\s:-]+/n, '').sub(/[\s-]+\z/n, '')
    end
  end
end
